"""Issue KuCoin's tokens and check them when a connection is opened."""

import secrets
from base64 import b64encode


class Tokens:
    """Issued tokens with their expiry. Times are seconds and are passed in."""

    def __init__(self, lifetime: float, *, once: bool) -> None:
        """`once`: a token opens one connection only."""
        self._lifetime = lifetime
        self._once = once
        self._expiries: dict[str, float] = {}

    def issue(self, now: float) -> str:
        """Return a token in KuCoin's format, with characters that a URL must escape:
        2neAiuYv.mvnekBb8DJe+ZIg==
        """
        self._expiries = {token: at for token, at in self._expiries.items() if now < at}
        token = f"{secrets.token_urlsafe(120)}.{b64encode(secrets.token_bytes(16)).decode()}"
        self._expiries[token] = now + self._lifetime
        return token

    def use(self, token: str, now: float) -> str | None:
        """Use a token to open a connection. Return KuCoin's error message, None if it is valid."""
        expiry = self._expiries.get(token)
        if expiry is None:
            return "token is invalid"
        if now >= expiry:
            return "token is expired"
        if self._once:
            del self._expiries[token]
        return None
