"""Whether a price is real: told by the host that the exchange's frame came from."""

from functools import lru_cache

from exchanges import EXCHANGES

REAL_DOMAINS = [domain for exchange in EXCHANGES for domain in exchange.domains]


@lru_cache
def is_simulated(endpoint: str | None) -> bool:
    """True unless the host is, or lies below, a domain of a real exchange. None: host unknown."""
    host = endpoint or ""
    return not any(host == domain or host.endswith(f".{domain}") for domain in REAL_DOMAINS)
