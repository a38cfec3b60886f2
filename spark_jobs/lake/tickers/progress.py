"""Progress of price_history, stored in the userMetadata of each of its commits to the tickers' table.

    {"writer": "2f1c…", "batch": 1440, "next_offsets": {"kucoin_raw_data": {"0": 1620}},
     "topic_ids": {"kucoin_raw_data": "nS2gTqB6RJ-0wl0y0ReEow"}}

Commits of VACUUM and of other programs have none: the newest commit with progress counts.
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

COMMITS_SEARCHED = (1, 10, 1000)
"""Numbers of newest commits to search, in turn. Few are enough unless others have committed by hand."""


class TableError(JobError):
    """The table is not in the state that this job wrote last. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of the job as of a commit. `batch` continues across restarts of the job.

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
        """Parse userMetadata. Return None if another program wrote it."""
        try:
            fields = json.loads(text or "")
            offsets = offsets_of(fields["next_offsets"])
            return cls(fields["writer"], fields["batch"], offsets, _ids(fields))
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def _ids(fields: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return dict(fields.get("topic_ids", {}))


def commit_properties(progress: Progress) -> CommitProperties:
    """Return the properties of every commit of the job: its progress and the name of the application.

    If two commits start from the same version and both name the application, Delta rejects the second.
    So progress never goes back, even if a commit that seemed to have failed arrives late.
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
        f"{path}: none of its newest {COMMITS_SEARCHED[-1]} commits has this job's progress, so it was not "
        "written by this job; move it elsewhere"
    )
