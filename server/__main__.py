"""python -m server: serves until SIGTERM or SIGINT and ends with 0; with 2 for a wrong setting."""

import asyncio
import ipaddress
import logging
import socket
import sys
from types import FrameType

import uvicorn

from core.settings import SettingError, Settings
from server.app import create_app
from server.channel import HttpProtocol, WebSocketProtocol
from server.hub import Hub

log = logging.getLogger(__name__)

HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
]

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
        settings = Settings.from_environment()
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if not is_loopback(settings.server_host):
        log.warning(
            "SERVER_HOST=%s is not loopback: whoever can reach it can read", settings.server_host
        )
    hub = Hub()
    config = uvicorn.Config(
        create_app(settings.reader_database_url, hub),
        host=settings.server_host,
        port=settings.server_port,
        log_config=None,
        access_log=False,
        headers=HEADERS,
        server_header=False,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=4096,
        # A ping waits behind what a slow client has not read yet; one that reads nothing ends before.
        ws_ping_timeout=60,
        # It would compress each message once per client.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    Server(config, hub).run()
    return 0


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    sys.exit(main())
