"""Read where a batch ends in Kafka. Spark writes this to the checkpoint before the batch begins."""

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

from spark_jobs.kafka_source.offsets import Offsets, offsets_of


def checkpoint_offsets(checkpoint: str) -> Offsets:
    """Return the offset after the last record of the current batch, by partition.

    `checkpoint` is a file URI. Its query has one source, Kafka. The last line of its newest entry:

        {"kucoin_raw_data":{"0":1620,"1":1614}}
    """
    entries = Path(unquote(urlsplit(checkpoint).path)) / "offsets"
    newest = max((entry for entry in entries.iterdir() if entry.name.isdigit()), key=number)
    return offsets_of(json.loads(newest.read_text().splitlines()[-1]))


def number(entry: Path) -> int:
    return int(entry.name)
