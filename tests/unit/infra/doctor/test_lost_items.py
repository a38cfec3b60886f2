"""Test that the losses that a running extractor has counted are found, and another program on
its port."""

from dataclasses import replace
from pathlib import Path

import pytest
import requests

from core.settings import Settings
from extractors.metrics import Metrics
from infra.doctor.lost_items import lost_items
from infra.doctor.report import ERRORS
from infra.ports import free_ports
from tests.support.loopback import http_server


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0"])
def test_items_that_the_journal_refused_or_dropped_are_found(tmp_path: Path, host: str) -> None:
    defaults = Settings(metrics_host=host)
    ports = dict(zip(defaults.exchanges, free_ports(len(defaults.exchanges)), strict=True))
    settings = replace(
        defaults,
        exchanges={
            name: replace(own, metrics_port=ports[name]) for name, own in defaults.exchanges.items()
        },
    )
    # The extractor of Binance does not run.
    kucoin = Metrics("kucoin")
    dropped = 0
    kucoin.watch_journal(tmp_path, 1000, lambda: 0, lambda: dropped)
    kucoin.serve(settings.metrics_host, ports["kucoin"])
    assert [*lost_items(settings)] == []

    kucoin.refused.inc(12)
    dropped = 3000
    refused, not_uploaded = lost_items(settings)
    assert refused.problem == (
        "the journal refused 12 items of kucoin: neither Kafka nor landing/ has them"
    )
    assert not_uploaded.problem == (
        "landing/ lacks 3000 items of kucoin, for which the journal had no space"
    )


@pytest.mark.parametrize(
    "body",
    [
        "<!DOCTYPE html>\n<html><body class='a b'>It works! {x=\"y\"}</body></html>\n",
        '{"status": "ok", "version": "1.2"}',
    ],
)
def test_another_program_on_an_extractors_port_is_named(body: str) -> None:
    defaults = Settings()
    with http_server(lambda: body) as url:
        port = int(url.rpartition(":")[2])
        own = replace(defaults.exchanges["kucoin"], metrics_port=port)
        settings = replace(defaults, exchanges={"kucoin": own})
        with pytest.raises(requests.RequestException) as error:
            [*lost_items(settings)]
    assert str(error.value) == f"{url}/metrics: no metrics; another program has the port"
    assert isinstance(error.value, ERRORS)
