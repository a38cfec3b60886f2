"""python -m server: serves until SIGTERM or SIGINT and ends with 0; with 2 for a wrong setting."""

import asyncio
import logging
import resource
import socket
import sys
from types import FrameType

import uvicorn
from psycopg2.extensions import set_wait_callback

from core.settings import SERVER, SettingError, Settings
from server.access.security_headers import SECURITY_HEADERS
from server.app import create_app
from server.state.listener import answered_in_time
from server.streams.hub import Hub
from server.streams.protocols import ConnectionLimits, WebSocketProtocol, http_protocol

log = logging.getLogger(__name__)

BESIDE_STREAMS = 256
"""Connections for all else."""

BESIDE_STREAMS_PER_ADDRESS = 32
"""A browser opens six at a time."""

OTHER_FILES = 256
"""Open files that are no client's, Postgres's and the page's, or one's that is just refused."""

FAREWELL = 1.0
"""Seconds that streams have to say goodbye before their connections are closed."""


class Server(uvicorn.Server):
    """uvicorn, but its end is a success and its streams close as going away, not as failing."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.close()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=FAREWELL)
        await super().shutdown(sockets)


def main() -> int:
    try:
        settings = Settings.from_environment(SERVER)
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    limits = ConnectionLimits(
        settings.server_stream_limit + BESIDE_STREAMS,
        settings.server_stream_limit_per_address + BESIDE_STREAMS_PER_ADDRESS,
    )
    allow_open_files(limits.in_all + OTHER_FILES)
    set_wait_callback(answered_in_time)
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
        # A ping waits behind what a slow client has not read yet; one that reads nothing ends before.
        ws_ping_timeout=60,
        # It would compress each message once per client.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    Server(config, hub).run()
    return 0


def allow_open_files(wanted: int) -> None:
    """Each connection is one; many systems start a process with 1,024 and allow it more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        log.warning("the system allows %d open files; SERVER_STREAM_LIMIT needs %d", most, wanted)


if __name__ == "__main__":
    sys.exit(main())
