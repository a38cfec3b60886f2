"""Measure the bytes that one client of all prices receives per minute, in each form, from a demo.

    make benchmark-stream-bytes

Runs a separate demo. One client of each form reads at the same time: WebSocket and server-sent events with
all fields, and WebSocket with the page's fields, each plain and compressed. Counts the bytes of the sockets,
without the snapshot.
"""

import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlencode

import psycopg2

from benchmarks.clients.stream_clients import EXTENSION, HANDSHAKE, PAGE_FIELDS
from benchmarks.harness.measuring import running_demo
from benchmarks.harness.report import publish
from core.settings import Settings

SNAPSHOT_SECONDS = 10.0
"""Seconds for the snapshot, and for the first batches of the jobs."""

SECONDS = 60.0
"""Seconds of the measurement. These clients answer no ping, so the server closes them after 80 s."""

READ_SIZE = 1 << 20

PAGE = f"?{urlencode({'fields': PAGE_FIELDS})}"

REQUESTS = {
    "WebSocket, plain": ("/ws", HANDSHAKE),
    "WebSocket, compressed": ("/ws", HANDSHAKE + EXTENSION),
    "server-sent events, plain": ("/stream", ""),
    "server-sent events, gzip": ("/stream", "Accept-Encoding: gzip\r\n"),
    "the page's fields, plain": (f"/ws{PAGE}", HANDSHAKE),
    "the page's fields, compressed": (f"/ws{PAGE}", HANDSHAKE + EXTENSION),
}
"""Target and headers of each form's request."""


def main() -> None:
    with running_demo("stream_bytes") as stack:
        with ThreadPoolExecutor(len(REQUESTS)) as pool:
            reading = {
                form: pool.submit(bytes_received, stack.settings.server_port, *request)
                for form, request in REQUESTS.items()
            }
            received = {form: each.result() for form, each in reading.items()}
        rows = rows_written(stack.settings)
    publish(
        "stream_bytes",
        f"{60 * rows / SECONDS:,.0f} changed rows a minute, for {SECONDS:.0f} s",
        table(received),
    )


def bytes_received(port: int, target: str, headers: str) -> int:
    """Return the bytes that a client receives in SECONDS, after its snapshot."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode())
        read_for(client, SNAPSHOT_SECONDS)
        return read_for(client, SECONDS)


def read_for(client: socket.socket, seconds: float) -> int:
    received, end = 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        client.settimeout(left)
        try:
            data = client.recv(READ_SIZE)
        except TimeoutError:
            break
        if not data:
            raise ConnectionError("the server closed a stream")
        received += len(data)
    return received


def rows_written(settings: Settings) -> int:
    """Return the number of rows that the batches of the last SECONDS wrote."""
    with closing(psycopg2.connect(settings.database_url)) as database:
        with database, database.cursor() as statements:
            statements.execute(
                "SELECT sum(rows_written) FROM batches"
                " WHERE committed_at > now() - make_interval(secs => %s)",
                [SECONDS],
            )
            [(rows,)] = statements.fetchall()
    return int(rows or 0)


def table(received: Mapping[str, int]) -> list[dict[str, str]]:
    largest = max(received.values())
    return [
        {
            "client of all prices": form,
            "MB per minute": f"{60 * size / SECONDS / 1e6:.2f}",
            "share": f"{size / largest:.1%}",
        }
        for form, size in received.items()
    ]


if __name__ == "__main__":
    main()
