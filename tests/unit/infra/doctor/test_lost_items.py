"""Test that the losses that a running extractor has counted are found."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.settings import Settings
from extractors.metrics import Metrics
from infra.doctor.lost_items import lost_items
from infra.ports import free_ports


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
