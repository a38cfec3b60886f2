"""Export the server's metrics under their names of version 0.1 as well. The next version drops them."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

FORMER_NAMES = {
    "server_requests": "rest_requests",
    "server_database_up": "database_up",
    "server_newest_price_age_seconds": "newest_price_age_seconds",
    "server_price_age_seconds": "price_age_seconds",
    "server_stream_clients": "stream_clients",
    "server_stream_messages": "stream_messages",
    "server_stream_bytes": "stream_bytes",
    "server_stream_conflated": "stream_conflated",
    "server_stream_closed": "stream_closed",
}


class FormerNames(Collector):
    """Collect copies of the metrics that had another name."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            former = FORMER_NAMES.get(family.name)
            if former is not None:
                copy = Metric(former, f"Deprecated: use {family.name}", family.type)
                copy.samples = [_renamed(each, family.name, former) for each in family.samples]
                yield copy


def _renamed(sample: Sample, name: str, former: str) -> Sample:
    # The name of a sample is that of its metric and a suffix, such as _total or _bucket.
    return sample._replace(name=former + sample.name.removeprefix(name))
