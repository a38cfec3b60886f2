"""Test which exchanges make live waits for: one that refuses this machine sends no prices."""

from dataclasses import replace

import pytest

from infra.__main__ import is_reachable
from infra.stack import Stack, stack_on_free_ports
from tests.support.loopback import http_server


def stack_at(rest: str) -> Stack:
    stack = stack_on_free_ports("tests/live")
    binance = stack.settings.exchanges["binance"]
    there = replace(binance, addresses={**binance.addresses, "rest": rest})
    exchanges = {**stack.settings.exchanges, "binance": there}
    return replace(stack, settings=replace(stack.settings, exchanges=exchanges))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, ""),
        (451, "binance: {url}/api/v3/ping answered 451. Its extractor keeps retrying"),
        (418, "binance: {url}/api/v3/ping answered 418. Its extractor keeps retrying"),
    ],
)
def test_exchange_that_refuses_is_not_waited_for(
    status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with http_server(lambda: "{}", status) as url:
        assert is_reachable(stack_at(url), "binance") == (status == 200)
        assert capsys.readouterr().out.startswith(said.format(url=url))
