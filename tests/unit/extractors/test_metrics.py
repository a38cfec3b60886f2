"""Test the metrics that Prometheus reads from an extractor."""

import math
import shutil
import socket
import time
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from extractors.metrics import Metrics
from infra.ports import free_ports
from tests.support.waiting import DEADLINE

Samples = dict[str, float]


def served(metrics: Metrics) -> Samples:
    """Return the samples by name and labels, without the label that all share."""
    [port] = free_ports(1)
    metrics.serve("127.0.0.1", port)
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE)
    assert answer.status_code == 200
    samples: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        if family.name.startswith("process_") or family.name == "extractor_build_info":
            continue
        for sample in family.samples:
            assert sample.labels.pop("exchange") == "kucoin"
            labels = ",".join(sample.labels.values())
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


def test_what_happened_is_counted() -> None:
    metrics = Metrics("kucoin")
    metrics.received(frames=1, size=300, items=2, doubles=0)
    metrics.received(frames=4, size=200, items=1, doubles=1)
    metrics.queue_full.inc()
    for _ in range(3):
        metrics.batches.inc()
    metrics.messages.inc(4)
    metrics.delivery_errors.inc()
    for _ in range(2):
        metrics.producer_failures.inc()
    metrics.refused.inc(5)
    for seconds in (2.5, 0.25):
        metrics.interruption_ended(seconds)
    for cause in ("silence", "closed", "silence"):
        metrics.connection_ended(cause)
    metrics.watch_queue(lambda: 17)
    metrics.delivery_delay.observe(0.3)
    samples = served(metrics)
    assert (
        samples.items()
        >= {
            "extractor_frames_total": 5.0,
            "extractor_bytes_total": 500.0,
            "extractor_items_total": 3.0,
            "extractor_doubles_total": 1.0,
            "extractor_queue_full_total": 1.0,
            "extractor_batches_total": 3.0,
            "extractor_messages_total": 4.0,
            "extractor_delivery_errors_total": 1.0,
            "extractor_producer_failures_total": 2.0,
            "extractor_refused_items_total": 5.0,
            "extractor_interruptions_total": 2.0,
            "extractor_interrupted_seconds_total": 2.75,
            "extractor_connections_total{silence}": 2.0,
            "extractor_connections_total{closed}": 1.0,
            "extractor_queued_notices": 17.0,
            "extractor_delivery_delay_seconds_count": 1.0,
            "extractor_delivery_delay_seconds_sum": 0.3,
            "extractor_delivery_delay_seconds_bucket{0.25}": 0.0,
            "extractor_delivery_delay_seconds_bucket{0.5}": 1.0,
        }.items()
    )
    assert 0.0 <= samples["extractor_last_frame_age_seconds"] < 60.0
    assert (
        metrics.totals()
        == "frames=5 items=3 doubles=1 refused_items=5 messages=4 delivery_errors=1"
    )


def test_what_never_happened_is_zero_and_the_last_frame_has_no_age() -> None:
    metrics = Metrics("kucoin")
    samples = served(metrics)
    assert samples["extractor_frames_total"] == 0.0
    for error in ("delivery_errors", "refused_items", "upload_failures", "interruptions"):
        assert samples[f"extractor_{error}_total"] == 0.0
    assert math.isnan(samples["extractor_last_frame_age_seconds"])
    assert (
        metrics.totals()
        == "frames=0 items=0 doubles=0 refused_items=0 messages=0 delivery_errors=0"
    )


def test_journal_disk_and_followers_are_asked_when_prometheus_asks(tmp_path: Path) -> None:
    metrics = Metrics("kucoin")
    size, dropped, oldest = 100, 0, None
    metrics.watch_journal(tmp_path, 10_000_000, lambda: size, lambda: dropped)
    metrics.watch_follower("kafka", lambda: size, lambda: oldest)
    samples = served(metrics)
    assert samples["extractor_journal_bytes"] == samples["extractor_kafka_lag_items"] == 100.0
    assert samples["extractor_dropped_items"] == samples["extractor_kafka_lag_seconds"] == 0.0
    assert samples["extractor_journal_limit_bytes"] == 10_000_000
    # Other programs write to the same disk.
    free = shutil.disk_usage(tmp_path).free
    assert samples["extractor_disk_free_bytes"] == pytest.approx(free, rel=0.5)
    size, dropped, oldest = 50, 7, time.time_ns() // 1000 - 90_000_000
    samples = served(metrics)
    assert samples["extractor_journal_bytes"] == samples["extractor_kafka_lag_items"] == 50.0
    assert samples["extractor_dropped_items"] == 7.0
    assert 90.0 <= samples["extractor_kafka_lag_seconds"] < 150.0


def test_lag_of_an_item_from_the_future_is_zero_seconds() -> None:
    metrics = Metrics("kucoin")
    metrics.watch_follower("landing", lambda: 1, lambda: time.time_ns() // 1000 + 90_000_000)
    assert served(metrics)["extractor_landing_lag_seconds"] == 0.0


def test_two_extractors_in_one_process_count_for_themselves() -> None:
    one, other = Metrics("kucoin"), Metrics("kucoin")
    one.received(frames=1, size=100, items=1, doubles=0)
    assert served(other)["extractor_frames_total"] == 0.0
    assert served(one)["extractor_frames_total"] == 1.0


def test_busy_port_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        with pytest.raises(OSError, match="Address already in use"):
            Metrics("kucoin").serve("127.0.0.1", busy.getsockname()[1])
