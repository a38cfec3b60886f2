"""python -m server: serves until SIGTERM or SIGINT and ends with 0; with 2 for a wrong setting."""

import asyncio
import logging
import socket
import sys
from types import FrameType

import uvicorn

from core.settings import SettingError, Settings
from server.app import create_app
from server.channel import HttpProtocol, WebSocketProtocol
from server.hub import Hub
from server.security_headers import SECURITY_HEADERS

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
    hub = Hub()
    config = uvicorn.Config(
        create_app(settings, hub),
        host=settings.server_host,
        port=settings.server_port,
        log_config=None,
        access_log=False,
        headers=SECURITY_HEADERS,
        server_header=False,
        http=HttpProtocol,
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


if __name__ == "__main__":
    sys.exit(main())
