"""Record on disk which items of a journal Kafka has. A restart then reads only a topic's last second.

The record is a file `delivered` in the journal's folder, written once a second, with fsync only when the
number of partitions changed. An older record is harmless: the next process reads a little more of the topic.
"""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from core.message import partition_of
from extractors.journal.replace_file import replace_file

log = logging.getLogger(__name__)


@dataclass(slots=True)
class PartitionProgress:
    """The last confirmed message of a partition."""

    next_offset: int
    """Offset from which a restart reads: after that message, or later."""
    position: int
    """Position in the journal after its last item (0 before the first message)."""


@dataclass(slots=True)
class Delivered:
    """The items of a journal that Kafka has, and the number of partitions that they were sent to.

    An item that is sent again goes to the same partition, even if the topic has more of them now.
    """

    journal_id: str
    position: int = 0
    """Position in the journal before which Kafka has every item."""
    partitions: dict[int, PartitionProgress] = field(default_factory=dict)
    """Last confirmed message, by partition."""
    counts: list[tuple[int, int]] = field(default_factory=list)
    """Pairs of a position and the number of partitions from there on, in ascending order."""

    @classmethod
    def load(cls, folder: Path, journal_id: str) -> Self:
        """Return the record; an empty one if it is missing, unreadable, or of another journal."""
        try:
            record = json.loads((folder / "delivered").read_bytes())
            if record["journal"] != journal_id:
                return cls(journal_id)
            return cls(
                journal_id,
                int(record["position"]),
                {
                    int(partition): PartitionProgress(*map(int, place))
                    for partition, place in record["places"].items()
                },
                [(int(position), int(count)) for position, count in record["counts"]],
            )
        except FileNotFoundError:
            return cls(journal_id)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning("record of deliveries unreadable reason=%r", str(error))
            return cls(journal_id)

    def save(self, folder: Path, *, durably: bool = False) -> None:
        """Replace the file; with `durably`, it survives a power failure. Raise OSError on failure."""
        record = {
            "journal": self.journal_id,
            "position": self.position,
            "places": {
                partition: (place.next_offset, place.position)
                for partition, place in self.partitions.items()
            },
            "counts": self.counts,
        }
        replace_file(folder / "delivered", json.dumps(record), durably=durably)

    def set_partitions(self, count: int, position: int) -> None:
        """Record the topic's number of partitions, for items at `position` and after it.

        None of these items may have been sent yet.
        """
        if self.counts and self.counts[-1][1] > count:
            # Kafka never removes partitions: the topic was deleted and created again.
            self.counts.clear()
            self.partitions.clear()
        if not self.counts:
            self.counts.append((0, count))
        elif self.counts[-1][1] != count:
            self.counts.append((position, count))

    def partition_of(self, symbol: str, position: int) -> int:
        """Return the partition of the item at a position."""
        count = next(count for first, count in reversed(self.counts) if first <= position)
        return partition_of(symbol, count)

    def taken(self) -> dict[int, int]:
        """Return, by partition, the position before which Kafka has all items of the partition."""
        return {partition: place.position for partition, place in self.partitions.items()}

    def start(self) -> int:
        """Return the position to resume from. Kafka has every item before it."""
        partitions = max((count for _, count in self.counts), default=0)
        taken = self.taken()
        return max(self.position, min((taken.get(n, 0) for n in range(partitions)), default=0))
