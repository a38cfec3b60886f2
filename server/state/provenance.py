"""Distinguish real prices from simulated ones by the host that sent the exchange's frame."""

from functools import lru_cache

from exchanges import EXCHANGES

REAL_DOMAINS = [domain for exchange in EXCHANGES for domain in exchange.domains]


@lru_cache
def is_simulated(endpoint: str | None) -> bool:
    """Return True unless the host is in a domain of a real exchange. None means an unknown host."""
    host = endpoint or ""
    return not any(host == domain or host.endswith(f".{domain}") for domain in REAL_DOMAINS)
