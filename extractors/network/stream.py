"""Open the connection for HTTP or WebSocket: TCP, through a proxy if there is one, and TLS."""

from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket
from ssl import create_default_context
from urllib.parse import urlsplit

from core.settings import SettingError
from exchanges.exchange import ConfigurationError
from extractors.network.deadline import Deadline
from extractors.network.happy_eyeballs import connect
from extractors.network.proxy import proxy_of

DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
ENCRYPTED = ("https", "wss")


@contextmanager
def opened_stream(url: str, deadline: Deadline) -> Iterator[socket]:
    """Yield a connection to the URL's server, in blocking mode.

    An error in the block closes it; otherwise the caller must. The deadline applies to the block too.
    Certificates are verified against the system's authorities, or those in SSL_CERT_FILE. Raise OSError, or
    ConfigurationError for a proxy that can't be used.
    """
    address = urlsplit(url)
    host = address.hostname or ""
    port = address.port or DEFAULT_PORTS[address.scheme]
    try:
        proxy = proxy_of(url)
    except SettingError as error:
        raise ConfigurationError("unreachable", str(error)) from error
    first_hop = (proxy.host, proxy.port) if proxy else (host, port)
    stream = connect(*first_hop, deadline)
    try:
        with deadline.enforced_on(stream):
            if proxy:
                proxy.open_tunnel(stream, host, port)
            if address.scheme in ENCRYPTED:
                stream = create_default_context().wrap_socket(stream, server_hostname=host)
            yield stream
    except BaseException:
        stream.close()
        raise
