"""Follow a real server with the client in client/: lookups, changes, events, refusals, restarts."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice

import pytest
from crypto_prices import (
    AsyncPrices,
    Connected,
    Disconnected,
    Event,
    Interruption,
    PostgresAway,
    PostgresBack,
    Price,
    Prices,
    RefusedError,
    Unreadable,
)
from psycopg2.extensions import connection
from websockets.exceptions import ConnectionClosedError

from core.settings import Settings
from tests.support.live_job import (
    insert,
    list_instruments,
    ticker,
    wait_for_batch,
    write_batch,
)
from tests.support.postgres import execute, no_connections
from tests.support.server import ServerProcess, running_server
from tests.support.waiting import wait_for

KEY = "0123456789abcdef0123456789abcdef"
BTC = ("binance", "BTCUSDT")


@pytest.fixture
def server(database: Settings, owner: connection) -> Iterator[ServerProcess]:
    """A server with the prices of three symbols."""
    list_instruments(
        owner,
        ("binance", "BTCUSDT", "BTC", "USDT", "TRADING"),
        ("binance", "OLDUSDT", "OLD", "USDT", "BREAK"),
        ("kucoin", "BTC-EUR", "BTC", "EUR", "TRADING"),
    )
    symbols = [BTC, ("binance", "OLDUSDT"), ("kucoin", "BTC-EUR")]
    batch_id = write_batch(database.database_url, [ticker(*key, "1.50") for key in symbols])
    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, batch_id)
        yield server


def taken(prices: Iterator[Price], count: int) -> list[tuple[str, Decimal | None]]:
    return sorted((price.symbol, price.price) for price in islice(prices, count))


def test_a_loop_gets_every_price_and_then_each_change(
    database: Settings, server: ServerProcess
) -> None:
    with Prices(server.page, quote="usdt") as prices:
        changes = iter(prices)
        assert taken(changes, 2) == [("BTCUSDT", Decimal("1.5")), ("OLDUSDT", Decimal("1.5"))]
        write_batch(
            database.database_url, [ticker(*BTC, "99999999999999999999.000000000000000001")]
        )
        assert next(changes).price == Decimal("99999999999999999999.000000000000000001")
        assert len(prices) == 2
        assert ("kucoin", "BTC-EUR") not in prices


def test_the_table_is_kept_without_a_loop(database: Settings, server: ServerProcess) -> None:
    with Prices(server.page, status="trading", fields=["price", "base"]) as prices:
        assert prices.table() == {
            BTC: Price(*BTC, base="BTC", price=Decimal("1.5")),
            ("kucoin", "BTC-EUR"): Price("kucoin", "BTC-EUR", base="BTC", price=Decimal("1.5")),
        }
        for amount in ("2", "3"):
            write_batch(database.database_url, [ticker(*BTC, amount)])
            wait_for(lambda: prices[BTC].price, Decimal(amount).__eq__)
        assert prices.skipped == 2
        with pytest.raises(KeyError):
            prices["binance", "OLDUSDT"]


def test_a_lost_connection_is_opened_again_and_resumes(database: Settings) -> None:
    events: list[Event] = []
    first = write_batch(database.database_url, [ticker(*BTC, "1")])
    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, first)
        port = server.port
        prices = Prices(server.page, on_event=events.append)
        prices.__enter__()
    write_batch(database.database_url, [ticker(*BTC, "2")])
    with running_server(database.reader_database_url, port):
        wait_for(lambda: prices[BTC].price, lambda found: found == 2)
        prices.close()

    assert events[0] == Connected(resumed=False)
    assert events[-1] == Connected(resumed=True)
    assert {type(event) for event in events[1:-1]} == {Disconnected}


def test_what_ended_while_the_connection_was_lost_is_an_event(
    database: Settings, owner: connection
) -> None:
    events: list[Event] = []
    start = datetime.now(UTC) - timedelta(minutes=2)
    begun = ("kucoin", "127.0.0.1", "interruption", "silence", start, None, 0)
    dead_letters = {"kucoin": {"tickers": 0, "dead_letters": {"sequence is missing": 3}}}
    insert(owner, "INSERT INTO feed_events VALUES %s", [begun])
    first = write_batch(database.database_url, [ticker("kucoin", "BTC-EUR", "1")], dead_letters)
    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, first)
        port = server.port
        prices = Prices(server.page, on_event=events.append)
        prices.__enter__()
        wait_for(lambda: events, lambda found: len(found) == 3)
        assert events == [
            Connected(resumed=False),
            Interruption("kucoin", start, None, "silence"),
            Unreadable(("kucoin",)),
        ]
    execute(owner, 'UPDATE feed_events SET "to" = "from" + interval \'1 minute\'')
    execute(owner, "UPDATE batches SET committed_at = committed_at - interval '1 minute'")
    restarted = datetime.now(UTC)
    with running_server(database.reader_database_url, port):
        wait_for(lambda: events, lambda found: found[-1] == Unreadable(()))
        assert prices.interruptions == []
        prices.close()

    connected, over, _ = events[-3:]
    assert connected == Connected(resumed=True)
    assert isinstance(over, Interruption)
    assert over.end is not None
    assert over == Interruption("kucoin", start, over.end, "silence")
    assert restarted <= over.end <= datetime.now(UTC)


def test_an_outage_of_postgres_is_an_event(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    events: list[Event] = []
    with Prices(server.page, on_event=events.append):
        with no_connections(database, owner.info.dbname):
            wait_for(lambda: events, lambda found: isinstance(found[-1], PostgresAway))
        wait_for(lambda: events, lambda found: found[-1] == PostgresBack())


def test_a_refused_request_is_not_repeated(database: Settings) -> None:
    with running_server(database.reader_database_url, SERVER_API_KEY=KEY) as server:
        with pytest.raises(RefusedError, match="401: the API key is missing or wrong"):
            Prices(server.page).__enter__()
        with pytest.raises(RefusedError, match="422: exchange='kraken'"):
            Prices(server.page, key=KEY, exchange="kraken").__enter__()
        with Prices(server.page, key=KEY) as prices:
            assert len(prices) == 0


def test_an_unreachable_server_is_an_error_after_the_open_timeout() -> None:
    with pytest.raises(ConnectionError, match=r"no prices in 10 s: .*refused"):
        Prices("http://127.0.0.1:1", open_timeout=10).__enter__()


def test_the_error_after_the_open_timeout_says_that_the_server_has_not_read_its_database(
    database: Settings,
) -> None:
    named = r"no prices in 10 s: connected, but the server has been unable to read its database since 20"

    async def follow(url: str) -> None:
        with pytest.raises(ConnectionError, match=named):
            await AsyncPrices(url, open_timeout=10).__aenter__()

    with running_server(database.reader_database_url + "_of_another_name") as server:
        wait_for(lambda: "read failed" in server.log())
        with pytest.raises(ConnectionError, match=named):
            Prices(server.page, open_timeout=10).__enter__()
        asyncio.run(follow(server.page))


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (RuntimeError("no event was expected"), "no event was expected"),
        # Raised by the connection, these two lead to another attempt.
        (OSError("disk full"), "on_event failed"),
        (ConnectionClosedError(None, None), "on_event failed"),
    ],
)
def test_a_failure_of_the_callers_function_is_raised_by_the_next_use(
    server: ServerProcess, error: Exception, raised: str
) -> None:
    def fail(event: Event) -> None:
        raise error

    prices = Prices(server.page, on_event=fail)
    # The function runs in the client's thread, so either the opening or the loop raises its failure.
    with pytest.raises(RuntimeError, match=raised), prices:
        for _ in prices:
            pass
    with pytest.raises(RuntimeError, match=raised):
        prices[BTC]


def test_values_from_an_iterator_select_the_prices(server: ServerProcess) -> None:
    with Prices(server.page, symbol=(f"{base}USDT" for base in ["BTC"])) as prices:
        assert list(prices.table()) == [BTC]


def test_closing_ends_a_loop(server: ServerProcess) -> None:
    with Prices(server.page) as prices:
        changes = iter(prices)
        assert len(taken(changes, 3)) == 3
    assert list(changes) == []


def test_asyncio_has_the_same_client(database: Settings, server: ServerProcess) -> None:
    async def follow() -> None:
        async with AsyncPrices(server.page, symbol=["BTCUSDT", "BTC-EUR"]) as prices:
            first = {(await anext(prices)).symbol for _ in range(2)}
            assert first == {"BTCUSDT", "BTC-EUR"}
            await asyncio.to_thread(write_batch, database.database_url, [ticker(*BTC, "2")])
            assert (await anext(prices)).price == 2
            assert prices[BTC].price == 2
            assert (len(prices), prices.skipped) == (2, 0)
        with pytest.raises(StopAsyncIteration):
            await anext(prices)
        with pytest.raises(RefusedError, match="422: exchange='kraken'"):
            await AsyncPrices(server.page, exchange="kraken").__aenter__()
        with pytest.raises(ConnectionError, match=r"no prices in 0\.5 s"):
            await AsyncPrices("http://127.0.0.1:1", open_timeout=0.5).__aenter__()

    asyncio.run(follow())
