"""How far price_history is: the userMetadata of every commit that it makes to the tickers' table.

    {"writer": "2f1c…", "batch": 1440, "next_offsets": {"kucoin_raw_data": {"0": 1620}},
     "topic_ids": {"kucoin_raw_data": "nS2gTqB6RJ-0wl0y0ReEow"}}

Commits of VACUUM, and those of other programs, have none: the newest one that has it counts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import deltalake
from deltalake.transaction import CommitProperties, Transaction

from spark_jobs.errors import JobError
from spark_jobs.kafka_source.offsets import Offsets, by_topic, offsets_of
from spark_jobs.kafka_source.topic_ids import TopicIds

APPLICATION = "price_history"

# How many of the newest commits are searched: few are enough, unless others have committed by hand.
COMMITS_SEARCHED = (1, 10, 1000)


class TableError(JobError):
    """The table is not what this job wrote last. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a commit says of the job that made it. `batch` counts on over all starts of the job.

    `topic_ids` lacks topics whose id was not known: commits of version 0.1.0 have none.
    """

    writer: str
    batch: int
    next_offsets: Offsets
    topic_ids: TopicIds = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(
            {
                "writer": self.writer,
                "batch": self.batch,
                "next_offsets": by_topic(self.next_offsets),
                "topic_ids": dict(sorted(self.topic_ids.items())),
            }
        )

    @classmethod
    def from_json(cls, text: str | None) -> Self | None:
        """Return None for a text that another program has written."""
        try:
            fields = json.loads(text or "")
            offsets = offsets_of(fields["next_offsets"])
            return cls(fields["writer"], fields["batch"], offsets, _ids(fields))
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def _ids(fields: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return dict(fields.get("topic_ids", {}))


def commit_properties(progress: Progress) -> CommitProperties:
    """Return what every commit of the job has: its progress, and the name of the application.

    Of two commits that begin with the same version and both name the application, Delta refuses the
    second. So progress never goes back, even if a commit arrives late that was believed to have failed.
    """
    return CommitProperties(
        custom_metadata={"userMetadata": progress.to_json()},
        app_transactions=[Transaction(APPLICATION, progress.batch)],
    )


def newest_progress(table: deltalake.DeltaTable, path: str) -> Progress:
    """Return the progress of the newest commit that has one. Raise TableError if none has."""
    for commits in COMMITS_SEARCHED:
        for commit in table.history(commits):
            if progress := Progress.from_json(commit.get("userMetadata")):
                return progress
    raise TableError(
        f"{path}: none of its newest {COMMITS_SEARCHED[-1]} commits says how far it is, so it was not "
        "written by this job; move it elsewhere"
    )
