"""Determine the HTTP proxy of an address from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.

REST and WebSocket both use it, with HTTP CONNECT. Credentials never appear in an error or a log.
"""

import base64
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address, ip_network
from socket import socket
from urllib import request
from urllib.parse import SplitResult, unquote, urlsplit

from core.settings import SettingError, is_loopback

DEFAULT_PORT = 80
SCHEMES = {"ws": "http", "http": "http", "wss": "https", "https": "https"}
"""Mapping from a URL's scheme to the scheme of its proxy variable."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Host and port of a proxy, and the value of Proxy-Authorization, which is never shown."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    def open_tunnel(self, connection: socket, host: str, port: int) -> None:
        """Open a tunnel to host and port on a connection to the proxy. Raise ConnectionError."""
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.authorization:
            lines.append(f"Proxy-Authorization: {self.authorization}")
        connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        with HTTPResponse(connection, method="CONNECT") as answer:
            try:
                answer.begin()
            except HTTPException as error:
                raise ConnectionError(f"proxy {self.host}:{self.port}: {error!r:.200}") from error
            if answer.status != 200:
                raise ConnectionError(
                    f"proxy {self.host}:{self.port} answered {answer.status} {answer.reason:.200}"
                    f" to CONNECT {target}"
                )


def proxy_of(url: str) -> Proxy | None:
    """Return the proxy for a URL, None for a direct connection. Raise SettingError if it can't be used.

    Loopback addresses never use a proxy.
    """
    address = urlsplit(url)
    host = address.hostname or ""
    proxies = request.getproxies_environment()
    # typeshed does not know this function.
    is_bypassed = request.proxy_bypass_environment(host, proxies)  # type: ignore[attr-defined]
    if is_loopback(host) or is_bypassed or _is_in(host, proxies):
        return None
    for name in (SCHEMES[address.scheme], "all"):
        if name in proxies:
            return _read_proxy(f"{name.upper()}_PROXY", proxies[name])
    return None


def _is_in(host: str, proxies: dict[str, str]) -> bool:
    """Return whether NO_PROXY has a network, such as 10.0.0.0/8, that contains the host's address."""
    for part in proxies.get("no", "").split(","):
        try:
            if ip_address(host) in ip_network(part.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


def _read_proxy(name: str, value: str) -> Proxy:
    """Return the proxy of a variable. Errors never contain the value: it may contain a password."""
    try:
        address = urlsplit(value if "://" in value else f"http://{value}")
        host, port = address.hostname, address.port or DEFAULT_PORT
    except ValueError:
        host, port = None, 0
    if not host:
        raise SettingError(f"{name}: expected http://host:port or http://user:password@host:port")
    if address.scheme != "http":
        raise SettingError(
            f"{name}: a proxy of kind {address.scheme}:// is not supported. Set an HTTP proxy, or"
            f" add the exchange's host to NO_PROXY"
        )
    return Proxy(host, port, _authorization(address))


def _authorization(address: SplitResult) -> str:
    if address.username is None:
        return ""
    credentials = f"{unquote(address.username)}:{unquote(address.password or '')}"
    return f"Basic {base64.b64encode(credentials.encode()).decode('ascii')}"
