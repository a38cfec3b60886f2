from datetime import UTC, datetime, timedelta

from server.state.interruptions import Interruption, changed, ongoing, with_ends

NOON = datetime(2025, 3, 28, 12, tzinfo=UTC)


def interruption(
    exchange: str, minute: int, end: int | None, reason: str = "silence"
) -> Interruption:
    return Interruption(
        exchange=exchange, start=at(minute), end=None if end is None else at(end), reason=reason
    )


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def test_an_interruption_whose_end_was_never_reported_ends_where_the_next_begins() -> None:
    found = with_ends(
        [
            interruption("binance", 1, None),
            interruption("binance", 5, 6),
            interruption("binance", 9, None),
            interruption("kucoin", 2, None),
        ]
    )

    assert [(each.exchange, each.end) for each in found] == [
        ("binance", at(5)),
        ("binance", at(6)),
        ("binance", None),
        ("kucoin", None),
    ]
    assert ongoing(found) == [found[2], found[3]]


def test_only_what_is_new_or_differs_has_changed() -> None:
    first, second = interruption("binance", 1, 2), interruption("binance", 3, None)
    kucoin = interruption("kucoin", 1, 2)
    ended = second.model_copy(update={"end": at(4)})
    again = interruption("binance", 5, None)

    assert changed([], [first]) == [first]
    assert changed([first, second], [first, second]) == []
    assert changed([first, second], [first, ended]) == [ended]
    assert changed([first], [first, ended, again, kucoin]) == [ended, again, kucoin]
    # An older one appears because a newer one was deleted.
    assert changed([second], [first]) == []
