"""Test which exchanges `make live` waits for: not for one that refuses this machine."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra.__main__ import is_reachable
from infra.stack import Stack, stack_on_free_ports
from tests.support.loopback import certificate, http_server, server_tls


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
        out = capsys.readouterr().out
        assert out.startswith(said.format(url=url))
        assert bool(out) == bool(said)


def test_exchange_whose_certificate_the_system_trusts_is_reachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = certificate(tmp_path)
    with http_server(lambda: "{}", tls=server_tls(own)) as url:
        assert not is_reachable(stack_at(url), "binance")
        assert f"{url}/api/v3/ping is unreachable (SSLError)" in capsys.readouterr().out
        monkeypatch.setenv("SSL_CERT_FILE", str(own.with_suffix(".crt")))
        assert is_reachable(stack_at(url), "binance")
