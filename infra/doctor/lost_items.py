"""Check whether the extractors have lost items since their start, by their metrics."""

from collections.abc import Iterator

import requests
from prometheus_client.parser import text_string_to_metric_families

from core.settings import Settings
from infra.addresses import reachable_address
from infra.doctor.finding import Finding

TIMEOUT = 5.0
REFUSED = "extractor_refused_items_total"
DROPPED = "extractor_dropped_items"


def lost_items(settings: Settings) -> Iterator[Finding]:
    """Find items that a journal refused or dropped. An extractor that does not run has no counts."""
    for exchange, own in settings.exchanges.items():
        address = reachable_address(settings.metrics_host, own.metrics_port)
        counts = _counts(f"http://{address}/metrics", exchange)
        log = f"the log of the extractor {exchange} has the times and the reason"
        if refused := counts.get(REFUSED):
            yield Finding(
                f"the journal refused {refused:.0f} items of {exchange}: neither Kafka nor landing/ has them",
                f"{log} (journal refuses items); make compare-candles counts the missing minutes. The "
                "count of items begins at the extractor's start",
            )
        if dropped := counts.get(DROPPED):
            yield Finding(
                f"landing/ lacks {dropped:.0f} items of {exchange}, for which the journal had no space",
                f"{log} (segment dropped before upload); Kafka has them. The count begins at the "
                "extractor's start",
            )


def _counts(url: str, exchange: str) -> dict[str, float]:
    try:
        answer = requests.get(url, timeout=TIMEOUT)
    except requests.ConnectionError:
        return {}
    answer.raise_for_status()
    try:
        families = [*text_string_to_metric_families(answer.text)]
    except ValueError as error:
        raise requests.RequestException(
            f"{url}: no metrics; another program has the port"
        ) from error
    return {
        sample.name: sample.value
        for family in families
        for sample in family.samples
        if sample.labels.get("exchange") == exchange
    }
