"""Test that clients reach this machine without a proxy, whatever proxies the environment names."""

import pytest

from core.no_proxy import exempt_loopback


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "db.example, ::1"}, "db.example,::1,127.0.0.1,localhost"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, "a,127.0.0.1,localhost,::1"),
    ],
)
def test_loopback_is_added_to_the_hosts_without_a_proxy(
    before: dict[str, str], expected: str
) -> None:
    environment = {**before, "HTTP_PROXY": "http://proxy:8080"}
    exempt_loopback(environment)
    assert environment == {
        "HTTP_PROXY": "http://proxy:8080",
        "no_proxy": expected,
        "NO_PROXY": expected,
    }


def test_asterisk_that_exempts_every_host_stays() -> None:
    environment = {"no_proxy": "*"}
    exempt_loopback(environment)
    assert environment == {"no_proxy": "*"}
