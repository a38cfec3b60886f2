"""Send a request to an exchange, and trust the certificates that its extractor trusts."""

import ssl
from typing import Any

import requests
from requests.adapters import HTTPAdapter


def get(url: str, timeout: float) -> requests.Response:
    """Return the response, without following a redirect. `timeout` is in seconds.

    The system's authorities are trusted, and those in SSL_CERT_FILE. Raise requests.RequestException
    if there is no response.
    """
    with requests.Session() as session:
        session.mount("https://", _SystemTrust())
        return session.get(url, timeout=timeout, allow_redirects=False)


class _SystemTrust(HTTPAdapter):
    """Adapter with OpenSSL's default authorities, in place of the list in the package certifi."""

    def build_connection_pool_key_attributes(self, *arguments: Any) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(*arguments)
        return host, {"ssl_context": ssl.create_default_context()}

    def cert_verify(self, *_: object) -> None:
        """Leave the authorities to the context."""
