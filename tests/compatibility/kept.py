"""Read and write the data that earlier versions wrote: files in a folder for each version.

    tables.sql         the database, as pg_dump writes it
    topics/*.jsonl     the records of each of TOPICS, one per line
    journal/           the extractors' journals
    bucket/            the objects of the bucket
    folders.txt        the keys of empty objects, which end with a slash
    api/*.json         answers of the server, each with its path
    stream.json        the first message of the stream

The path of a file below bucket/ is its object's key.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from core.topics import EXCHANGE_OF_TOPIC, FEED_EVENTS, INSTRUMENTS

DATA = Path(__file__).parent / "data"
TOPICS = (*EXCHANGE_OF_TOPIC, INSTRUMENTS, FEED_EVENTS)

Place = tuple[str, int, int]
"""A record's topic, partition and offset."""

Headers = list[tuple[str, bytes]]


class Record(NamedTuple):
    """A record of Kafka; `timestamp` is in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    headers: Headers
    value: bytes | None

    @property
    def place(self) -> Place:
        return self.topic, self.partition, self.offset


class Answer(NamedTuple):
    """The server's answer to a GET request."""

    path: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Version:
    """The files of one version."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def tables(self) -> Path:
        return self.folder / "tables.sql"

    @property
    def journals(self) -> Path:
        return self.folder / "journal"

    def objects(self, prefix: str) -> dict[str, bytes]:
        """Return the bucket's objects below a prefix, by key."""
        keys = (self.folder / "folders.txt").read_text().split("\n")
        folders = {key: b"" for key in keys if key.startswith(f"{prefix}/")}
        files = (path for path in (self._bucket / prefix).rglob("*") if path.is_file())
        return folders | {
            str(path.relative_to(self._bucket)): path.read_bytes() for path in sorted(files)
        }

    def write_objects(self, objects: Mapping[str, bytes]) -> None:
        """Write all objects of the bucket, by key."""
        folders = sorted(key for key in objects if key.endswith("/"))
        _write(self.folder / "folders.txt", "".join(f"{key}\n" for key in folders))
        for key in objects.keys() - folders:
            path = self._bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(objects[key])

    def records(self, topics: Iterable[str]) -> list[Record]:
        """Return the records of the topics, ordered by offset within each partition."""
        return [
            _record(topic, json.loads(line))
            for topic in topics
            for line in self._records_file(topic).read_text().split("\n")
            if line
        ]

    def write_records(self, topic: str, records: Iterable[Record]) -> None:
        lines = (json.dumps(_fields(record), ensure_ascii=False) for record in records)
        _write(self._records_file(topic), "".join(f"{line}\n" for line in lines))

    def answers(self) -> list[Answer]:
        """Return the answers of the REST API."""
        return [_read_answer(path) for path in sorted((self.folder / "api").glob("*.json"))]

    def write_answer(self, name: str, answer: Answer) -> None:
        _write_answer(self.folder / "api" / f"{name}.json", answer)

    def stream(self) -> Answer:
        """Return the first message of the stream."""
        return _read_answer(self.folder / "stream.json")

    def write_stream(self, answer: Answer) -> None:
        _write_answer(self.folder / "stream.json", answer)

    @property
    def _bucket(self) -> Path:
        return self.folder / "bucket"

    def _records_file(self, topic: str) -> Path:
        return self.folder / "topics" / f"{topic}.jsonl"


def versions() -> Sequence[Version]:
    """Return every version whose data are kept. Raise FileNotFoundError if there is none."""
    found = [Version(folder) for folder in sorted(DATA.iterdir()) if folder.is_dir()]
    if not found:
        raise FileNotFoundError(f"no data of any version in {DATA}")
    return found


def next_offsets(records: Iterable[Record]) -> dict[tuple[str, int], int]:
    """Return the offset after the last record, by topic and partition."""
    return {(record.topic, record.partition): record.offset + 1 for record in records}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _read_answer(path: Path) -> Answer:
    return Answer(**json.loads(path.read_text()))


def _write_answer(path: Path, answer: Answer) -> None:
    _write(path, json.dumps(answer._asdict(), ensure_ascii=False, indent=1) + "\n")


def _fields(record: Record) -> dict[str, Any]:
    return {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": _as_json(record.key),
        "headers": [[name, _as_json(value)] for name, value in record.headers],
        "value": _as_json(record.value),
    }


def _record(topic: str, fields: dict[str, Any]) -> Record:
    return Record(
        topic,
        fields["partition"],
        fields["offset"],
        fields["timestamp"],
        _as_bytes(fields["key"]),
        [(name, _as_bytes(value) or b"") for name, value in fields["headers"]],
        _as_bytes(fields["value"]),
    )


def _as_json(content: bytes | None) -> str | dict[str, str] | None:
    """Return readable text if the content is UTF-8, otherwise Base64."""
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _as_bytes(written: str | dict[str, str] | None) -> bytes | None:
    if written is None:
        return None
    return written.encode() if isinstance(written, str) else base64.b64decode(written["base64"])
