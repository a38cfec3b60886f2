from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from crypto_prices import (
    Connected,
    Interruption,
    PostgresAway,
    PostgresBack,
    Price,
    Skipped,
    Unreadable,
)
from crypto_prices.events import Event
from crypto_prices.price import price_of
from crypto_prices.table import MissedMessageError, Table

NOON = datetime(2025, 3, 28, 12, tzinfo=UTC)
Message = dict[str, Any]

BEGUN: Message = {
    "exchange": "kucoin",
    "from": "2025-03-28T12:00:00Z",
    "to": None,
    "reason": "silence",
}
"""Interruption that began at NOON and has not ended."""


def row(symbol: str, price: str) -> dict[str, str]:
    return {"exchange": "binance", "symbol": symbol, "price": price}


def with_prices(
    kind: str, id: str, previous: str | None, *rows: dict[str, str], **fields: Any
) -> Message:
    return {
        "type": kind,
        "id": id,
        "previous": previous,
        "time": "2025-03-28T12:05:00Z",
        "skipped": 0,
        "interruptions": [],
        "prices": list(rows),
    } | fields


def snapshot(id: str, *rows: dict[str, str], **fields: Any) -> Message:
    return with_prices("snapshot", id, None, *rows, **fields)


def changes(id: str, previous: str, *rows: dict[str, str], **fields: Any) -> Message:
    return with_prices("changes", id, previous, *rows, **fields)


def without_prices(kind: str, id: str | None, previous: str | None, **fields: Any) -> Message:
    return {"type": kind, "id": id, "previous": previous} | fields


def amounts(table: Table) -> dict[str, str]:
    return {symbol: str(price.price) for (_, symbol), price in table.prices.items()}


def changed(table: Table, message: Message) -> list[tuple[str, str]]:
    prices, _ = table.take(message)
    return [(price.symbol, str(price.price)) for price in prices]


def test_a_row_becomes_decimals_and_aware_times() -> None:
    price = price_of(
        {
            "exchange": "binance",
            "symbol": "BTCUSDT",
            "price": "99999999999999999999.999999999999999999",
            "bid": None,
            "event_time": "2025-03-28T12:00:00.000000Z",
            "offset": 1042,
            "simulated": False,
            "a field of a later version": 1,
        }
    )

    assert price == Price(
        "binance",
        "BTCUSDT",
        price=Decimal("99999999999999999999.999999999999999999"),
        event_time=NOON,
        offset=1042,
        simulated=False,
    )
    assert price.event_time is not None
    assert price.event_time.utcoffset() is not None


def test_a_snapshot_replaces_the_table_and_changes_are_added() -> None:
    table = Table()

    assert changed(table, snapshot("e-1", row("A", "1"), row("B", "2"))) == [("A", "1"), ("B", "2")]
    assert changed(table, changes("e-2", "e-1", row("B", "3"))) == [("B", "3")]
    assert (table.id, amounts(table)) == ("e-2", {"A": "1", "B": "3"})
    # Only what differs has changed.
    assert changed(table, snapshot("f-1", row("B", "3"), row("C", "4"))) == [("C", "4")]
    assert (table.id, amounts(table)) == ("f-1", {"B": "3", "C": "4"})


def test_a_missing_message_is_noticed_and_changes_nothing() -> None:
    table = Table()
    table.take(snapshot("e-1", row("A", "1")))
    table.take(without_prices("heartbeat", "e-2", "e-1"))

    with pytest.raises(MissedMessageError, match="expected a message after e-2, not after e-3"):
        table.take(changes("e-4", "e-3", row("A", "2")))
    with pytest.raises(MissedMessageError):
        table.take(without_prices("heartbeat", "e-4", "e-3"))
    assert (table.id, amounts(table)) == ("e-2", {"A": "1"})
    table.take(without_prices("a type of a later version", "e-3", "e-2"))
    assert table.id == "e-3"


def test_a_message_without_an_id_leaves_the_tables_id_unchanged() -> None:
    table = Table()
    table.take(snapshot("e-1", row("A", "1")))
    # From a server that has not read its database.
    table.take(without_prices("heartbeat", None, None))

    assert table.id == "e-1"


def test_events_are_distinguished_from_prices() -> None:
    ended = BEGUN | {"to": "2025-03-28T12:01:00Z"}
    ongoing = Interruption("kucoin", NOON, None, "silence")
    over = Interruption("kucoin", NOON, NOON.replace(minute=1), "silence")
    away = without_prices("status", "e-2", "e-2", postgres="away", since="2025-03-28T12:00:00Z")
    back = without_prices("status", "e-2", "e-2", postgres="back", since="2025-03-28T12:00:00Z")
    unreadable = without_prices(
        "unreadable", "e-2", "e-2", exchanges=[{"exchange": "kucoin", "share": 1, "cause": "a"}]
    )
    table = Table()
    steps: list[tuple[Message, list[Event]]] = [
        (snapshot("e-1"), [Connected(resumed=False)]),
        (changes("e-2", "e-1", skipped=7), [Skipped(7)]),
        (without_prices("interruption", "e-2", "e-2", **BEGUN), [ongoing]),
        (changes("e-2", "e-2", interruptions=[BEGUN]), []),
        (without_prices("interruption", "e-2", "e-2", **ended), [over]),
        (unreadable, [Unreadable(("kucoin",))]),
        (away, [PostgresAway(NOON)]),
        (away, []),
        (back, [PostgresBack()]),
        (away, [PostgresAway(NOON)]),
        (changes("e-2", "e-2"), [PostgresBack()]),
    ]
    for message, events in steps:
        assert table.take(message)[1] == events


def test_a_new_connection_reports_what_is_ongoing_and_resumes_while_postgres_is_away() -> None:
    away = without_prices("status", "e-1", "e-1", postgres="away", since="2025-03-28T12:00:00Z")
    table = Table()
    table.take(snapshot("e-1"))
    table.take(away)
    table.connection_opened()

    assert table.take(changes("e-1", "e-1", interruptions=[BEGUN]))[1] == [
        Connected(resumed=True),
        Interruption("kucoin", NOON, None, "silence"),
    ]
    assert table.take(away)[1] == []


def test_an_interruption_that_ended_during_a_break_ends_with_the_next_connection() -> None:
    later = BEGUN | {"from": "2025-03-28T12:04:00Z"}
    over = Interruption("kucoin", NOON, NOON.replace(minute=5), "silence")
    next_one = Interruption("kucoin", NOON.replace(minute=4), None, "silence")
    next_over = Interruption("kucoin", NOON.replace(minute=4), NOON.replace(minute=5), "silence")
    table = Table()
    table.take(snapshot("e-1", interruptions=[BEGUN]))

    table.connection_opened()
    connected = Connected(resumed=True)
    assert table.take(changes("e-1", "e-1", interruptions=[later]))[1] == [
        connected,
        over,
        next_one,
    ]
    assert list(table.interruptions.values()) == [next_one]

    table.connection_opened()
    assert table.take(changes("e-1", "e-1"))[1] == [connected, next_over]
    assert table.interruptions == {}


def test_an_interruption_ends_with_its_message_on_a_connection_that_lasts() -> None:
    later = BEGUN | {"from": "2025-03-28T12:04:00Z"}
    ended = BEGUN | {"to": "2025-03-28T12:01:00Z"}
    over = Interruption("kucoin", NOON, NOON.replace(minute=1), "silence")
    next_one = Interruption("kucoin", NOON.replace(minute=4), None, "silence")
    table = Table()
    table.take(snapshot("e-1", interruptions=[BEGUN]))

    # A slow client gets the merged prices before the messages about the interruptions.
    assert table.take(changes("e-2", "e-1", interruptions=[later]))[1] == [next_one]
    assert table.take(without_prices("interruption", "e-2", "e-2", **ended))[1] == [over]
    assert table.take(without_prices("interruption", "e-2", "e-2", **later))[1] == []
    assert list(table.interruptions.values()) == [next_one]


def test_prices_of_another_database_end_the_interruptions_that_they_do_not_list() -> None:
    table = Table()
    table.take(snapshot("e-1", interruptions=[BEGUN]))

    assert table.take(snapshot("f-1"))[1] == [
        Interruption("kucoin", NOON, NOON.replace(minute=5), "silence")
    ]


def test_a_server_that_reads_postgres_later_is_connected_with_its_first_prices() -> None:
    away = without_prices("status", None, None, postgres="away", since="2025-03-28T12:00:00Z")
    back = without_prices("status", None, None, postgres="back", since="2025-03-28T12:00:00Z")
    steps: list[tuple[Message, list[Event]]] = [
        (without_prices("heartbeat", None, None), []),
        (away, [PostgresAway(NOON)]),
        (back, [PostgresBack()]),
        (snapshot("e-1"), [Connected(resumed=False)]),
        (changes("e-2", "e-1"), []),
    ]
    table = Table()
    for message, events in steps:
        assert table.take(message)[1] == events


def test_unreadable_exchanges_do_not_mean_that_postgres_is_back() -> None:
    away = without_prices("status", "e-1", "e-1", postgres="away", since="2025-03-28T12:00:00Z")
    unreadable = without_prices(
        "unreadable", "e-1", "e-1", exchanges=[{"exchange": "kucoin", "share": 1, "cause": "a"}]
    )
    table = Table()
    table.take(snapshot("e-1"))
    table.take(away)
    table.connection_opened()

    table.take(changes("e-1", "e-1"))
    assert table.take(unreadable)[1] == [Unreadable(("kucoin",))]
    assert table.take(away)[1] == []
    assert table.take(without_prices("heartbeat", "e-1", "e-1"))[1] == [PostgresBack()]


@pytest.mark.parametrize(
    "second", [changes("e-1", "e-1"), without_prices("heartbeat", "e-1", "e-1")]
)
def test_exchanges_that_became_readable_during_a_break_are_reported(second: Message) -> None:
    unreadable = without_prices(
        "unreadable", "e-1", "e-1", exchanges=[{"exchange": "kucoin", "share": 1, "cause": "a"}]
    )
    table = Table()
    table.take(snapshot("e-1"))
    table.take(unreadable)
    table.connection_opened()

    # The server sends what is unreadable after the first prices.
    assert table.take(changes("e-1", "e-1"))[1] == [Connected(resumed=True)]
    assert table.take(second)[1] == [Unreadable(())]
    assert table.take(second)[1] == []
    assert table.take(unreadable)[1] == [Unreadable(("kucoin",))]


def test_exchanges_that_stay_unreadable_are_reported_once() -> None:
    shares = [
        without_prices(
            "unreadable", "e-1", "e-1", exchanges=[{"exchange": "kucoin", "share": s, "cause": "a"}]
        )
        for s in (1, 0.9)
    ]
    table = Table()
    table.take(snapshot("e-1"))
    assert [table.take(each)[1] for each in shares] == [[Unreadable(("kucoin",))], []]
    table.connection_opened()

    table.take(changes("e-1", "e-1"))
    assert [table.take(each)[1] for each in shares] == [[], []]
    assert table.take(without_prices("heartbeat", "e-1", "e-1"))[1] == []
    assert table.take(without_prices("unreadable", "e-1", "e-1", exchanges=[]))[1] == [
        Unreadable(())
    ]


def test_an_interruption_that_prices_listed_is_reported_once() -> None:
    table = Table()
    table.take(snapshot("e-1"))

    # A slow client gets the merged prices before the message about the interruption.
    _, events = table.take(changes("e-2", "e-1", interruptions=[BEGUN]))
    assert events == [Interruption("kucoin", NOON, None, "silence")]
    assert table.take(without_prices("interruption", "e-2", "e-2", **BEGUN))[1] == []
