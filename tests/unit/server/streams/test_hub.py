import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.state.interruptions import Interruption
from server.state.price_table import Reading
from server.state.selection import Selection
from server.state.unreadable import Unreadable
from server.streams.hub import Hub
from server.streams.subscription import Subscription
from tests.support.live_job import price
from tests.support.wire import Wire, client_on

Message = dict[str, Any]

QUOTES = {"BTC": "USDT", "ETH": "USDT", "SOL": "EUR"}

USDT, EUR = frozenset(["usdt"]), frozenset(["eur"])


def reading(
    batch_id: int,
    previous: int | None,
    *,
    epoch: str = "e",
    quotes: dict[str, str] = QUOTES,
    **amounts: str,
) -> Reading:
    """Return a reading of prices on Binance."""
    prices = [
        price("binance", symbol, amount, batch_id=batch_id, quote=quotes.get(symbol))
        for symbol, amount in amounts.items()
    ]
    return Reading(epoch, batch_id, previous, prices)


def row(symbol: str, amount: str) -> dict[str, str]:
    return {"exchange": "binance", "symbol": symbol, "price": amount}


def snapshot(id: str, *rows: dict[str, str]) -> Message:
    return {"type": "snapshot", "id": id, "previous": None, "skipped": 0, "prices": list(rows)}


def changes(id: str, previous: str, *rows: dict[str, str], skipped: int = 0) -> Message:
    kind = {"type": "changes", "id": id, "previous": previous, "skipped": skipped}
    return {**kind, "prices": list(rows)}


@pytest.fixture
def hub() -> Hub:
    return Hub()


@contextmanager
def joined(
    hub: Hub, subscription: Subscription | None = None, since: str | None = None
) -> Iterator[Wire]:
    wire = Wire()
    with hub.serving(client_on(wire, subscription, since)):
        yield wire


def symbols(*names: str) -> Subscription:
    return Subscription(Selection(symbols=frozenset(names)))


def test_a_client_gets_a_snapshot_and_then_each_change(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1", ETH="2"))
    with joined(hub) as wire:
        hub.publish(reading(2, 1, BTC="3"))
        hub.publish(reading(4, 2, BTC="4", SOL="5"))

    assert wire.messages() == [
        snapshot("e-1", row("BTC", "1"), row("ETH", "2")),
        changes("e-2", "e-1", row("BTC", "3")),
        changes("e-4", "e-2", row("BTC", "4"), row("SOL", "5")),
    ]


def test_a_client_before_the_first_reading_waits_for_it(hub: Hub) -> None:
    with joined(hub) as wire:
        assert wire.messages() == []
        hub.publish(reading(0, None))
        assert wire.messages() == [snapshot("e-0")]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(symbols=frozenset(["ETH", "NEW"])), ["ETH", "NEW"]),
        (Selection(quotes=USDT), ["BTC", "ETH"]),
        (Selection(quotes=USDT | EUR), ["BTC", "ETH", "SOL"]),
        (Selection(frozenset(["binance"]), quotes=EUR), ["SOL"]),
        (Selection(quotes=USDT, symbols=frozenset(["BTC", "SOL"])), ["BTC"]),
        (Selection(frozenset(["kucoin"])), []),
    ],
)
def test_a_client_gets_only_its_subscription(
    hub: Hub, selection: Selection, expected: list[str]
) -> None:
    hub.publish(reading(1, None, BTC="1", ETH="1", SOL="1"))
    with joined(hub, Subscription(selection)) as wire:
        (first,) = wire.messages()
        hub.publish(reading(2, 1, BTC="2", ETH="2", SOL="2", NEW="2"))
        received = [price["symbol"] for message in wire.messages() for price in message["prices"]]

    assert [price["symbol"] for price in first["prices"]] == [s for s in expected if s != "NEW"]
    assert received == expected


def test_a_client_gets_only_the_fields_that_it_asked_for_and_the_key(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1"))
    prices_only = Subscription(fields=frozenset(["price"]))
    with joined(hub, prices_only) as wire, joined(hub) as other:
        hub.publish(reading(2, 1, BTC="2"))

    received = [message["prices"] for message in wire.messages()]
    key = {"exchange": "binance", "symbol": "BTC"}
    assert received == [[{**key, "price": "1"}], [{**key, "price": "2"}]]
    assert other.messages()[1] == changes("e-2", "e-1", row("BTC", "2"))


def test_a_batch_without_changes_in_a_subscription_leaves_no_gap(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1", ETH="2"))
    with joined(hub, symbols("ETH")) as wire:
        hub.publish(reading(2, 1, BTC="3"))
        hub.publish(reading(3, 2, ETH="4"))

    assert wire.messages() == [
        snapshot("e-1", row("ETH", "2")),
        changes("e-3", "e-1", row("ETH", "4")),
    ]


def test_clients_with_the_same_batch_share_one_message(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1"))
    with joined(hub, symbols("BTC")) as one, joined(hub, symbols("BTC")) as other:
        hub.publish(reading(2, 1, BTC="2"))

    assert len(one.written) == 2
    assert all(a is b for a, b in zip(one.written, other.written, strict=True))


def test_a_client_that_joins_later_gets_the_time_of_its_own_message(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.publish(reading(1, None, BTC="1"))
    with joined(hub) as early:
        now = time.monotonic()
        monkeypatch.setattr("time.monotonic", lambda: now + 2)
        with joined(hub) as late:
            first, second = (
                json.loads(wire.taken.split(b"data: ")[1])["time"] for wire in (early, late)
            )

    assert first < second


def test_a_client_that_is_not_ready_gets_the_latest_version_of_what_it_missed(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1", ETH="2", SOL="3"))
    with joined(hub) as slow, joined(hub) as quick:
        slow.is_stuck = True
        hub.publish(reading(2, 1, BTC="4"))
        hub.publish(reading(3, 2, ETH="5"))
        hub.publish(reading(4, 3, BTC="6"))
        slow.read()

        assert slow.messages()[1:] == [
            changes("e-2", "e-1", row("BTC", "4")),
            changes("e-4", "e-2", row("BTC", "6"), row("ETH", "5")),
        ]
        assert [message["id"] for message in quick.messages()] == ["e-1", "e-2", "e-3", "e-4"]


def test_a_client_that_was_not_ready_but_missed_nothing_gets_no_message(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1", ETH="2"))
    with joined(hub, symbols("BTC")) as wire:
        wire.is_stuck = True
        hub.publish(reading(2, 1, BTC="3"))
        hub.publish(reading(3, 2, ETH="4"))
        wire.read()

        assert [message["id"] for message in wire.messages()] == ["e-1", "e-2"]


def test_a_client_that_reconnects_gets_the_changes_since(hub: Hub) -> None:
    hub.publish(reading(5, None, BTC="1", ETH="2"))
    hub.publish(reading(7, 5, BTC="3"))
    with joined(hub, since="e-5") as behind, joined(hub, since="e-7") as level:
        assert behind.messages() == [changes("e-7", "e-5", row("BTC", "3"))]
        assert level.messages() == [changes("e-7", "e-7")]


@pytest.mark.parametrize(
    "since",
    [
        "other-5",
        "e-8",
        "e--1",
        "e-",
        "e-5 ",
        "5",
        "",
        "e-\N{ARABIC-INDIC DIGIT FIVE}",
        "e-" + 50 * "9",
    ],
)
def test_an_unknown_id_starts_with_a_snapshot(hub: Hub, since: str) -> None:
    hub.publish(reading(7, None, BTC="1"))
    with joined(hub, since=since) as wire:
        assert wire.messages() == [snapshot("e-7", row("BTC", "1"))]


def test_a_client_that_reconnects_before_the_first_reading_resumes_with_it(hub: Hub) -> None:
    with joined(hub, since="e-5") as known, joined(hub, since="f-5") as unknown:
        hub.publish(reading(5, None, BTC="1"))

    assert known.messages() == [changes("e-5", "e-5")]
    assert unknown.messages() == [snapshot("e-5", row("BTC", "1"))]


def test_every_client_gets_a_snapshot_of_another_database(hub: Hub) -> None:
    hub.publish(reading(9, None, BTC="1", ETH="2"))
    with joined(hub) as wire, joined(hub, symbols("SOL")) as narrow:
        hub.publish(reading(9, None, epoch="f", SOL="3"))

    assert wire.messages()[1:] == [snapshot("f-9", row("SOL", "3"))]
    assert narrow.messages()[1:] == [snapshot("f-9", row("SOL", "3"))]


def test_every_client_gets_a_snapshot_when_the_instruments_change(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1", ETH="2", SOL="3"))
    eur = Subscription(Selection(quotes=EUR))
    with joined(hub, eur) as by_quote, joined(hub, symbols("BTC")) as by_symbol:
        quotes = QUOTES | {"ETH": "EUR"}
        hub.publish(reading(1, None, epoch="f", quotes=quotes, BTC="1", ETH="2", SOL="3"))

        assert by_quote.messages()[1:] == [snapshot("f-1", row("ETH", "2"), row("SOL", "3"))]
        assert by_symbol.messages()[1:] == [snapshot("f-1", row("BTC", "1"))]
    hub.publish(reading(2, 1, epoch="f", SOL="5"))
    with joined(hub, eur, "e-1") as before, joined(hub, eur, "f-1") as after:
        assert before.messages() == [snapshot("f-2", row("ETH", "2"), row("SOL", "5"))]
        assert after.messages() == [changes("f-2", "f-1", row("SOL", "5"))]


NOON = datetime(2025, 3, 28, 12, tzinfo=UTC)


def interruption(exchange: str, minute: int, end: int | None, reason: str = "a") -> Interruption:
    at = NOON + timedelta(minutes=minute)
    until = None if end is None else NOON + timedelta(minutes=end)
    return Interruption(exchange=exchange, start=at, end=until, reason=reason)


def spans(messages: list[Message]) -> list[tuple[str, str | None]]:
    """Return the minutes of start and end of each interruption."""
    return [
        (m["from"][14:16], m["to"] and m["to"][14:16])
        for m in messages
        if m["type"] == "interruption"
    ]


def test_interruptions_are_sent_to_those_that_want_them_and_have_the_exchange(hub: Hub) -> None:
    hub.interrupted([interruption("binance", 1, 2)])
    hub.publish(reading(1, None, BTC="1"))
    wanted = Subscription(interruptions=True)
    other = Subscription(Selection(frozenset(["kucoin"])), interruptions=True)
    with joined(hub, wanted) as wire, joined(hub) as plain, joined(hub, other) as elsewhere:
        first = wire.messages()
        hub.interrupted([interruption("binance", 1, 2), interruption("binance", 3, None)])
        hub.publish(reading(2, 1, BTC="2"))
        hub.interrupted([interruption("binance", 1, 2), interruption("binance", 3, None, "b")])
        with joined(hub, wanted, "e-1") as late:
            (resumed,) = late.messages()
        hub.interrupted([interruption("binance", 1, 2), interruption("binance", 3, 4, "b")])
        hub.publish(reading(3, 2, BTC="3"))

        begun, with_prices, changed_reason, ended, last = wire.messages()
        assert [m["interruptions"] for m in first] == [[]]
        assert spans([begun, changed_reason, ended]) == [("03", None), ("03", None), ("03", "04")]
        assert (begun["previous"], begun["id"]) == ("e-1", "e-1")
        assert (begun["exchange"], changed_reason["reason"]) == ("binance", "b")
        assert [each["from"][14:16] for each in with_prices["interruptions"]] == ["03"]
        assert resumed["interruptions"][0]["reason"] == "b"
        assert last["interruptions"] == []
        assert [m["type"] for m in plain.messages()] == ["snapshot", "changes", "changes"]
        assert [m["type"] for m in elsewhere.messages()] == ["snapshot"]


def test_a_client_that_was_not_ready_gets_the_interruptions_once_it_is(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1"))
    with joined(hub, Subscription(interruptions=True)) as wire:
        wire.messages()
        wire.is_stuck = True
        hub.publish(reading(2, 1, BTC="2"))
        hub.interrupted([interruption("binance", 1, None)])
        hub.interrupted([interruption("binance", 1, 2), interruption("binance", 3, None)])
        wire.read()

        messages = wire.messages()
        assert spans(messages) == [("01", "02"), ("03", None)]
        assert [m["previous"] for m in messages[1:]] == [m["id"] for m in messages[:-1]]


def test_the_end_of_an_interruption_precedes_the_snapshot_that_lacks_it(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1"))
    hub.interrupted([interruption("binance", 1, None)])
    with joined(hub, Subscription(interruptions=True)) as wire:
        wire.messages()
        wire.is_stuck = True
        hub.publish(reading(2, 1, BTC="2"))
        hub.interrupted([interruption("binance", 1, 2)])
        hub.publish(reading(1, None, epoch="f", BTC="1"))
        wire.read()

        _changes, ended, last = wire.messages()
    assert spans([ended]) == [("01", "02")]
    assert (ended["id"], ended["previous"]) == (None, None)
    assert (last["type"], last["id"], last["interruptions"]) == ("snapshot", "f-1", [])


def test_the_newest_candles_come_with_each_change_to_those_that_want_them(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1", ETH="1"))
    wanted = Subscription(Selection(symbols=frozenset(["BTC"])), candles=True)
    btc = ("binance", "BTC")
    with joined(hub, wanted) as wire, joined(hub, symbols("BTC")) as plain:
        assert hub.candles_wanted == {btc, ("kucoin", "BTC")}
        hub.publish(replace(reading(2, 1, BTC="2"), candles={btc: '{"open":"1"},{"open":"2"}'}))
        hub.publish(reading(3, 2, BTC="3"))

        assert [m["candles"] for m in wire.messages()] == [[], [{"open": "1"}, {"open": "2"}], []]
        assert all("candles" not in m for m in plain.messages())
    assert hub.candles_wanted == frozenset()


def test_a_slow_client_receives_the_number_of_changes_that_it_skipped(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1", ETH="1"))
    with joined(hub) as wire:
        wire.messages()
        wire.is_stuck = True
        hub.publish(reading(2, 1, BTC="2"))
        hub.publish(reading(3, 2, BTC="3", ETH="3"))
        hub.publish(reading(4, 3, BTC="4"))
        hub.publish(reading(5, 4, ETH="5"))
        wire.read()
        hub.publish(reading(6, 5, BTC="6"))

        assert wire.messages() == [
            changes("e-2", "e-1", row("BTC", "2")),
            changes("e-5", "e-2", row("BTC", "4"), row("ETH", "5"), skipped=2),
            changes("e-6", "e-5", row("BTC", "6")),
        ]


def test_clients_get_a_status_when_postgres_is_lost_and_back(hub: Hub) -> None:
    lost = datetime.now(UTC) - timedelta(seconds=12)
    hub.publish(reading(1, None, BTC="1"))
    with joined(hub) as early, joined(hub) as stuck:
        stuck.is_stuck = True
        hub.publish(reading(2, 1, BTC="2"))
        hub.postgres_is_away(lost)
        with joined(hub) as late:
            assert [message["type"] for message in late.messages()] == ["snapshot", "status"]
        hub.postgres_is_back()

        away, back = early.messages()[2:]
        assert (away["type"], away["postgres"]) == ("status", "away")
        assert (away["id"], away["previous"]) == ("e-2", "e-2")
        assert datetime.fromisoformat(away["since"]) == lost
        assert 12 <= away["age_seconds"] < 20
        assert (back["type"], back["postgres"], back["age_seconds"]) == ("status", "back", 0)
        stuck.read()
        kinds = [message["type"] for message in stuck.messages()]
        assert kinds == ["snapshot", "changes", "heartbeat"]


def test_a_client_that_was_not_ready_learns_when_postgres_was_back(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1"))
    with joined(hub) as wire:
        hub.postgres_is_away(datetime.now(UTC))
        wire.messages()
        wire.is_stuck = True
        hub.publish(reading(2, 1, BTC="2"))
        before = datetime.now(UTC)
        hub.postgres_is_back()
        after = datetime.now(UTC)
        wire.read()

        first, back = wire.messages()
    assert (first["type"], back["type"], back["postgres"]) == ("changes", "status", "back")
    assert before <= datetime.fromisoformat(back["since"]) <= after


def test_a_client_that_is_not_ready_gets_the_status_once_it_is(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1"))
    hub.postgres_is_away(datetime.now(UTC))
    wire = Wire()
    wire.is_stuck = True
    with hub.serving(client_on(wire)):
        wire.read()

        snapshot, status = wire.messages()
    assert (snapshot["type"], status["type"], status["postgres"]) == ("snapshot", "status", "away")


def test_before_the_first_reading_a_status_has_no_id(hub: Hub) -> None:
    hub.postgres_is_away(datetime.now(UTC))
    with joined(hub) as wire:
        (message,) = wire.messages()

    assert (message["type"], message["id"], message["previous"]) == ("status", None, None)


def unreadable(id: str | None, previous: str | None, *exchanges: dict[str, Any]) -> Message:
    return {"type": "unreadable", "id": id, "previous": previous, "exchanges": list(exchanges)}


def test_clients_get_the_mostly_unreadable_exchanges_whenever_they_change(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "server.streams.hub")
    hub.publish(reading(1, None, BTC="1"))
    with joined(hub) as early:
        early.messages()
        for share, cause in ((0.5, "a"), (0.75, "a"), (0.75, "a"), (0.75, "b")):
            hub.last_minute({"kucoin": Unreadable(share=share, cause=cause)})
        with joined(hub) as late:
            hub.last_minute({})
            hub.last_minute({})

            of = {"exchange": "kucoin", "share": 0.75}
            assert early.messages() == [
                unreadable("e-1", "e-1", of | {"cause": "a"}),
                unreadable("e-1", "e-1", of | {"cause": "b"}),
                unreadable("e-1", "e-1"),
            ]
            assert late.messages() == [
                snapshot("e-1", row("BTC", "1")),
                unreadable("e-1", "e-1", of | {"cause": "b"}),
                unreadable("e-1", "e-1"),
            ]
    assert [record.getMessage() for record in caplog.records] == [
        "unreadable exchange=kucoin share=0.75 cause='a'",
        "readable again exchange=kucoin",
    ]


def test_a_client_that_was_not_ready_gets_only_the_latest_unreadable_exchanges(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1"))
    with joined(hub) as wire:
        wire.messages()
        wire.is_stuck = True
        hub.publish(reading(2, 1, BTC="2"))
        for cause in ("a", "b"):
            hub.last_minute({"kucoin": Unreadable(share=1.0, cause=cause)})
        wire.read()

        assert wire.messages() == [
            changes("e-2", "e-1", row("BTC", "2")),
            unreadable("e-2", "e-2", {"exchange": "kucoin", "share": 1.0, "cause": "b"}),
        ]


def test_a_slow_client_that_connects_again_gets_the_unreadable_exchanges_after_its_first_prices(
    hub: Hub,
) -> None:
    hub.publish(reading(1, None, BTC="1"))
    hub.last_minute({"kucoin": Unreadable(share=1.0, cause="a")})
    wire = Wire()
    wire.is_stuck = True
    with hub.serving(client_on(wire, None, "e-1")):
        hub.publish(reading(2, 1, BTC="2"))
        wire.read()
        assert [(each["type"], each["id"], each["previous"]) for each in wire.messages()] == [
            ("changes", "e-1", "e-1"),
            ("unreadable", "e-1", "e-1"),
            ("changes", "e-2", "e-1"),
        ]


def test_a_stream_opened_while_postgres_is_unavailable_gets_the_status_last(hub: Hub) -> None:
    hub.publish(reading(1, None, BTC="1"))
    hub.last_minute({"kucoin": Unreadable(share=1.0, cause="a")})
    hub.postgres_is_away(datetime.now(UTC))
    with joined(hub) as wire:
        assert [message["type"] for message in wire.messages()] == [
            "snapshot",
            "unreadable",
            "status",
        ]
