"""Check a client library against the server's streams: what it receives is what Postgres has."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from psycopg2.extensions import connection

from core.settings import Settings
from tests.support.live_job import batch_of, list_instruments, ticker, wait_for_batch, write_batch
from tests.support.server import running_server

Message = dict[str, Any]
OpenStream = Callable[[str], AbstractContextManager[Callable[[], Message]]]
"""Opens the stream at an address, and yields a function that receives the next message."""

ROWS = """
SELECT exchange, symbol, trim_scale(price)::text, batch_id FROM live_prices
JOIN instruments USING (exchange, symbol) WHERE quote = 'USDT'
"""
SYMBOLS = [("binance", "BTCUSDT"), ("kucoin", "币安人生-USDT")]


def check_conformance(
    database: Settings, owner: connection, open_stream: OpenStream, scheme: str, path: str
) -> None:
    """Follow a stream over a break: a snapshot, changes, and after the break only what changed since.

    The snapshot has many rows, so it is large and compressed.
    """
    many = [("binance", f"S{number}USDT") for number in range(3000)]
    keys = [*SYMBOLS, *many]
    list_instruments(owner, *((*key, "S", "USDT", "TRADING") for key in keys))
    first = write_batch(database.database_url, [ticker(*key, "0.00000001") for key in keys])
    rows: dict[tuple[str, str], tuple[str, int]] = {}
    id = None

    def take(message: Message) -> None:
        nonlocal id
        if message["type"] == "snapshot":
            rows.clear()
        else:
            assert message["previous"] == id
        id = message["id"]
        for row in message.get("prices", ()):
            rows[row["exchange"], row["symbol"]] = row["price"], row["batch_id"]

    def take_until(receive: Callable[[], Message], batch: int) -> None:
        while id is None or batch_of(id) < batch:
            take(receive())

    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, first)
        address = f"{scheme}://127.0.0.1:{server.port}{path}?quote=USDT&fields=price,batch_id"
        with open_stream(address) as receive:
            message = receive()
            assert (message["type"], len(message["prices"])) == ("snapshot", len(keys))
            take(message)
            for price in ("2", "85439.99"):
                tickers = [ticker(*SYMBOLS[0], price)]
                take_until(receive, write_batch(database.database_url, tickers))
        last = write_batch(
            database.database_url, [ticker(*key, "99999999999999999999.5") for key in SYMBOLS]
        )
        with open_stream(f"{address}&since={id}") as receive:
            message = receive()
            assert message["type"] == "changes"
            take(message)
            take_until(receive, last)
    with owner.cursor() as cursor:
        cursor.execute(ROWS)
        assert rows == {(exchange, symbol): (*values,) for exchange, symbol, *values in cursor}
