"""Read prices and feeds from a real Postgres in the server's listener, without the server."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from psycopg2.extensions import connection

from core.settings import Settings
from server.state.listener import Listener
from tests.support.live_job import ticker, write_batch
from tests.support.postgres import execute
from tests.support.waiting import wait_for


def test_feeds_are_read_before_the_first_prices_also_after_a_failure(
    database: Settings, owner: connection
) -> None:
    """Readiness needs both, so prices alone must not make the server ready."""
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])
    role = urlsplit(database.reader_database_url).username
    execute(owner, f"REVOKE SELECT ON feed_events FROM {role}")
    calls: list[str] = []

    def note(call: str) -> Callable[..., Any]:
        return lambda *_arguments: calls.append(call)

    listener = Listener(
        database.reader_database_url,
        publish=note("prices"),
        away=note("away"),
        back=note("back"),
        candles_wanted=frozenset,
        feeds_read=note("feeds"),
    )
    listener.start()
    try:
        wait_for(lambda: calls, lambda found: found == ["away"])
        execute(owner, f"GRANT SELECT ON feed_events TO {role}")
        wait_for(lambda: calls, lambda found: "prices" in found)
    finally:
        listener.stop()
    assert calls[:4] == ["away", "back", "feeds", "prices"]
