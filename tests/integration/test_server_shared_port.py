"""Two servers on one shared port: both serve clients, and a client resumes on either."""

from contextlib import ExitStack
from typing import Any

from psycopg2.extensions import connection

from core.settings import Settings
from tests.support.event_stream import event_stream
from tests.support.live_job import batch_of, ticker, wait_for_batch, write_batch
from tests.support.server import ServerProcess, free_port, metrics, running_server

STREAMS = 32
"""Number of streams. The probability that one of the servers gets none of them is 1 in 2 ** 31."""


def test_two_servers_share_a_port_and_a_client_resumes_on_either(
    database: Settings, owner: connection
) -> None:
    shared = free_port()
    url, environment = database.reader_database_url, {"SERVER_SHARED_PORT": str(shared)}
    last = write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])
    with running_server(url, **environment) as first:
        with running_server(url, **environment) as second, ExitStack() as streams:
            for server in (first, second):
                wait_for_batch(server, last)
            opened = [streams.enter_context(event_stream(shared)) for _ in range(STREAMS)]
            assert {content(stream.receive()) for stream in opened} == {("snapshot", last, "1")}
            served = [open_streams(server) for server in (first, second)]
            assert sum(served) == STREAMS
            assert min(served) > 0
            since = opened[0].last_event_id

        newest = write_batch(database.database_url, [ticker("binance", "BTCUSDT", "2")])
        wait_for_batch(first, newest)
        with event_stream(shared, [("since", since)]) as stream:
            assert content(stream.receive()) == ("changes", newest, "2")


def content(message: dict[str, Any]) -> tuple[str, int, str]:
    """Return the type of a message, its batch and its only price."""
    [price] = message["prices"]
    return message["type"], batch_of(message["id"]), price["price"]


def open_streams(server: ServerProcess) -> float:
    """Return the number of open streams of events, as the server's own port says."""
    return metrics(server)["server_stream_clients", ("kind", "sse")]
