"""Run the server until SIGTERM or SIGINT: python -m server.

The exit status is 0 after a signal, 2 for an invalid setting and 3 if the server can't start.
"""

import asyncio
import gc
import logging
import resource
import socket
import sys
from types import FrameType

import uvicorn
from psycopg2.extensions import set_wait_callback

from core.settings import SERVER, SettingError, Settings
from server.app import create_app
from server.sockets import BusyPortError, listening_sockets
from server.state.listener import wait_with_timeout
from server.streams.hub import Hub
from server.streams.protocols import ConnectionLimits, WebSocketProtocol, http_protocol

log = logging.getLogger(__name__)

SECURITY_HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
]
"""Headers of every answer. The page needs no inline script and no other site."""

OTHER_CONNECTIONS = 256
"""Connections reserved for everything but streams."""

OTHER_CONNECTIONS_PER_ADDRESS = 32
"""The same for one address; a browser opens six at a time."""

OTHER_FILES = 256
"""File descriptors reserved for everything but clients: Postgres, static files, refused connections."""

GARBAGE_THRESHOLDS = 10_000, 10, 100
"""Arguments of gc.set_threshold. With Python's own, a full collection stopped the server for 0.6 s every 9 s
at 4,400 streams (1.1 million objects), and freed nothing: what streams use has no cycles."""

CLOSE_TIMEOUT = 1.0
"""Seconds that streams get to end cleanly before their connections are closed."""


class Server(uvicorn.Server):
    """uvicorn's server that exits with 0 on a signal and closes WebSockets with 1001 (going away)."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.close()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=CLOSE_TIMEOUT)
        await super().shutdown(sockets)


def main() -> int:
    try:
        settings = Settings.from_environment(SERVER)
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    limits = ConnectionLimits(
        settings.server_stream_limit + OTHER_CONNECTIONS,
        settings.server_stream_limit_per_address + OTHER_CONNECTIONS_PER_ADDRESS,
    )
    allow_open_files(limits.total + OTHER_FILES)
    set_wait_callback(wait_with_timeout)
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    hub = Hub()
    config = uvicorn.Config(
        create_app(settings, hub),
        host=settings.server_host,
        port=settings.server_port,
        log_config=None,
        access_log=False,
        headers=SECURITY_HEADERS,
        server_header=False,
        http=http_protocol(limits),
        ws=WebSocketProtocol,
        h11_max_incomplete_event_size=16_384,
        ws_max_size=4096,
        # A ping queues behind data that the kernel has taken and a slow client has not read.
        ws_ping_timeout=60,
        # uvicorn would compress a message once per client. WebSocketProtocol compresses it once for all.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    try:
        sockets = listening_sockets(settings)
    except BusyPortError as error:
        log.error("%s", error)
        return 3
    Server(config, hub).run(sockets)
    return 0


def allow_open_files(wanted: int) -> None:
    """Raise the soft limit of open files, often 1,024, as far as the hard limit allows.

    Each connection needs one file descriptor.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning(
            "too few open files for SERVER_STREAM_LIMIT allowed=%d needed=%d", allowed, wanted
        )


if __name__ == "__main__":
    sys.exit(main())
