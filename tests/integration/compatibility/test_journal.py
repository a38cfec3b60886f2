"""Resume the journals of earlier versions with an extractor."""

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from typing import Any

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC, TOPIC_OF_EXCHANGE
from tests.compatibility.carry import deliver_journals
from tests.compatibility.kept import Version
from tests.compatibility.make_data import journal_files
from tests.compatibility.records import items_in, produce
from tests.support.extractor import Extractor
from tests.support.kafka import Topic, all_items
from tests.support.landing import Landing


def test_an_extractor_sends_what_a_journal_holds_and_kafka_does_not(
    version: Version,
    lake: Settings,
    extractor: Callable[[str, Settings], Extractor],
    tmp_path: Path,
) -> None:
    copytree(version.journals, tmp_path / "journal")
    landings = {name: Landing(lake, name) for name in TOPIC_OF_EXCHANGE}
    produce(lake, version.records(EXCHANGE_OF_TOPIC))
    topics = {name: Topic(lake, topic) for name, topic in TOPIC_OF_EXCHANGE.items()}
    deliver_journals(replace(lake, journal_dir=str(tmp_path / "journal")), extractor)

    for name, topic in TOPIC_OF_EXCHANGE.items():
        segments = segments_of(version.journals / name)
        assert [suffix for suffix, _first, _lines in segments] == [".gz", ".jsonl"]
        journal = (version.journals / name / "id").read_text().split()[0]
        taken = items_in(
            record
            for record in version.records([topic])
            if ("journal", journal.encode()) in record.headers
        )
        lines = [json.loads(line) for _suffix, _first, lines in segments for line in lines]
        rest = [line for line in lines if line not in taken]
        assert taken and 0 < len(rest) < len(lines)
        messages = topics[name].messages()
        assert by_symbol(all_items(messages)) == by_symbol(rest)
        assert {dict(message.headers() or [])["journal"] for message in messages} == {
            journal.encode()
        }
        assert landings[name].keys() == [
            landing_key(name, journal, first, lines) for _suffix, first, lines in segments
        ]
        assert landings[name].items() == lines


def segments_of(journal: Path) -> list[tuple[str, int, list[bytes]]]:
    """Return the suffix, the position of the first item and the lines of each file, oldest first."""
    return [
        (
            path.suffix,
            int(path.name[:20]),
            (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines(),
        )
        for path in journal_files(journal)
        for content in [path.read_bytes()]
    ]


def landing_key(exchange: str, journal: str, first: int, lines: Sequence[bytes]) -> str:
    at = datetime.fromtimestamp(json.loads(lines[0])["received_at"] / 1e6, UTC)
    last = first + len(lines) - 1
    name = f"{at:%Y%m%dT%H%M%S.%fZ}-{journal}-{first:020}-{last:020}.jsonl.gz"
    return f"landing/{exchange}/{at:%Y/%m/%d/%H}/{name}"


def by_symbol(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort items by symbol, and keep the order within a symbol: only that is guaranteed."""
    return sorted(items, key=lambda each: each.get("s") or each.get("subject") or "")
