"""Form the address at which a program of this machine is reached."""

import ipaddress


def reachable_address(host: str, port: int) -> str:
    """Return `host:port` for a program that listens on `host`, with brackets around an IPv6 address.

    A program that listens on every address of a version of IP is reached at that version's loopback.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"{host}:{port}"
    if address.is_unspecified:
        return f"[::1]:{port}" if address.version == 6 else f"127.0.0.1:{port}"
    return f"[{host}]:{port}" if address.version == 6 else f"{host}:{port}"
