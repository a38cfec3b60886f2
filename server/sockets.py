"""Sockets on which the server listens."""

import socket

from core.settings import Settings

BACKLOG = 2048
"""Connections that the kernel holds until the server accepts them (uvicorn's default)."""


class BusyPortError(Exception):
    """The server can't listen on a port."""


def listening_sockets(settings: Settings) -> list[socket.socket] | None:
    """Return the server's own socket and one on a port that other servers share.

    Return None if no port is shared: uvicorn then opens the only socket itself. The kernel spreads new
    connections over all processes that listen on the shared port (SO_REUSEPORT, socket(7)). Raise
    BusyPortError if one of the ports is taken.
    """
    if not settings.server_shared_port:
        return None
    return [
        _listening(settings.server_host, "SERVER_PORT", settings.server_port, False),
        _listening(settings.server_host, "SERVER_SHARED_PORT", settings.server_shared_port, True),
    ]


def _listening(host: str, setting: str, port: int, is_shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host, port), family=family, backlog=BACKLOG, reuse_port=is_shared
        )
    except OSError as error:
        raise BusyPortError(f"{setting}={port}: {error}") from error
