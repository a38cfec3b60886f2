"""Run the notebook of live prices from top to bottom, while prices of both exchanges change."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

from psycopg2.extensions import connection

from core.settings import Settings
from tests.support.live_job import list_instruments, ticker, write_batch
from tests.support.notebooks import executed, printed, shown
from tests.support.server import running_server

BATCH_SECONDS = 0.5
INSTRUMENTS = {"binance": "BTCUSDT", "kucoin": "BTC-USDT"}


def test_live_prices_compares_the_exchanges(database: Settings, owner: connection) -> None:
    list_instruments(owner, *((*each, "BTC", "USDT", "TRADING") for each in INSTRUMENTS.items()))
    write_prices(database, 1)
    ended = Event()

    def change_prices() -> int:
        number = 1
        while not ended.wait(BATCH_SECONDS):
            number += 1
            write_prices(database, number)
        return number

    with running_server(database.reader_database_url) as server, ThreadPoolExecutor() as pool:
        batches = pool.submit(change_prices)
        try:
            cells = executed("live_prices.ipynb", replace(database, server_port=server.port))
        finally:
            ended.set()

    assert batches.result() > 10
    [followed] = printed(cells)
    assert " prices of BTC/USDT on 2 exchanges, state " in followed
    [table] = [text for cell in cells for text in shown(cell, "text/plain") if "exchange" in text]
    assert [line.split()[1:3] for line in table.splitlines()[1:]] == [
        [*each] for each in INSTRUMENTS.items()
    ]
    assert sum(len(shown(cell, "image/png")) for cell in cells) == 1


def write_prices(database: Settings, number: int) -> None:
    rows = [
        ticker(*instrument, f"{85000 + number}.5", sequence=number)
        for instrument in INSTRUMENTS.items()
    ]
    write_batch(database.database_url, rows)
