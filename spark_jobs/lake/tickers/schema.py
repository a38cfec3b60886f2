"""Define the schema of the tickers' table as numbered steps, like the SQL migrations of the database.

A table of an earlier version gets the missing steps, in order. A released step is never changed: a new
column or property is a new step. A new column is added to columns.TICKER as well.
"""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import deltalake

from core.reading_rules import READING_RULES, TABLE_PROPERTY
from spark_jobs.kafka_source.offsets import Offsets, by_topic, offsets_of
from spark_jobs.lake.tickers.progress import Progress, TableError, commit_properties
from spark_jobs.tickers.columns import AMOUNT, arrow_schema
from spark_jobs.tickers.files import PARTITIONED_BY

log = logging.getLogger(__name__)

NUMBER = "cryptopricesrt.schemaStep"
"""Table property with the number of its newest step."""

EARLIER = "cryptopricesrt.earlierRulesBelow"
"""Table property with the offsets, by topic and partition, below which rows are of earlier rules, as JSON."""


FORMER = "cryptopricesrt.earlierRulesFormerTopics"
"""Table property with the topics that were created again, and whose deleted topic's rows are of earlier
rules, as a JSON list."""


@dataclass(frozen=True, slots=True)
class SchemaStep:
    """Columns to add, NULL in existing rows, and properties to set."""

    columns: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


STEPS: tuple[SchemaStep, ...] = (
    # 1: version 0.1.0, whose tables have no number.
    SchemaStep(
        columns={
            "exchange": "STRING",
            "symbol": "STRING",
            "price": AMOUNT,
            "bid": AMOUNT,
            "bid_size": AMOUNT,
            "ask": AMOUNT,
            "ask_size": AMOUNT,
            "last_size": AMOUNT,
            "open_24h": AMOUNT,
            "high_24h": AMOUNT,
            "low_24h": AMOUNT,
            "base_volume_24h": AMOUNT,
            "quote_volume_24h": AMOUNT,
            "traded_at": "TIMESTAMP",
            "event_time": "TIMESTAMP",
            "sequence": "BIGINT",
            "received_at": "TIMESTAMP",
            "endpoint": "STRING",
            "topic": "STRING",
            "partition": "INT",
            "offset": "BIGINT",
            "position": "INT",
            "date": "DATE",
        },
        properties={
            # Queries for a symbol or a span of time need not open every file. Amounts have no statistics:
            # nobody queries a range of them.
            "delta.dataSkippingStatsColumns": "symbol,received_at,event_time",
            # A checkpoint rewrites the whole list of files. A start reads up to 100 small log files
            # after it.
            "delta.checkpointInterval": "100",
            # Retention of replaced files, for readers that began before.
            "delta.deletedFileRetentionDuration": "interval 1 day",
        },
    ),
    # 2: OPTIMIZE of delta-rs, by hand, writes files of the same size as the upkeep: 128 MiB.
    SchemaStep(properties={"delta.targetFileSize": "134217728"}),
)


def columns(steps: Sequence[SchemaStep] = STEPS) -> dict[str, str]:
    """Return all columns of the table after these steps, with Spark's types."""
    return {name: kind for step in steps for name, kind in step.columns.items()}


def make_table(path: str, options: dict[str, str], progress: Progress) -> None:
    """Create an empty table with all steps."""
    properties = {name: value for step in STEPS for name, value in step.properties.items()}
    deltalake.DeltaTable.create(
        path,
        arrow_schema(columns()),
        partition_by=list(PARTITIONED_BY),
        configuration={**properties, NUMBER: str(len(STEPS)), TABLE_PROPERTY: str(READING_RULES)},
        storage_options=options,
        commit_properties=commit_properties(progress),
        raise_if_key_not_exists=False,
    )


def step_of(table: deltalake.DeltaTable) -> int:
    """Return the number of the table's newest step."""
    return int(table.metadata().configuration.get(NUMBER, "1"))


def rules_of(table: deltalake.DeltaTable) -> int:
    """Return the number of the reading rules of the table's rows."""
    return int(table.metadata().configuration.get(TABLE_PROPERTY, "1"))


def refuse_newer(table: deltalake.DeltaTable, path: str) -> None:
    """Raise TableError for a table of a newer version."""
    if (number := step_of(table)) > len(STEPS):
        raise TableError(
            f"{path} was written by a newer version: it has schema step {number}, and this version knows "
            f"{len(STEPS)}. Nothing was written. Install that version again"
        )


def bring_up_to_date(
    table: deltalake.DeltaTable, progress: Progress, steps: Sequence[SchemaStep] = STEPS
) -> None:
    """Apply the missing steps. If the process is killed in between, the next start resumes."""
    done = step_of(table)
    for number, step in enumerate(steps[done:], start=done + 1):
        present = {each.name for each in table.schema().fields}
        missing = {name: kind for name, kind in step.columns.items() if name not in present}
        if missing:
            table.alter.add_columns(
                deltalake.Schema.from_arrow(arrow_schema(missing)).fields,
                commit_properties=commit_properties(progress),
            )
        table.alter.set_table_properties(
            {**step.properties, NUMBER: str(number)},
            raise_if_not_exists=False,
            commit_properties=commit_properties(progress),
        )
        log.info("applied schema_step=%d columns=%s", number, ",".join(missing) or "none")


def record_rebuild(
    table: deltalake.DeltaTable, begins: Offsets, former: Collection[str], progress: Progress
) -> None:
    """Record that all rows are of the present rules, except those of messages below `begins`.

    Rows of a former topic are excepted too, whatever their offset. `former` are the topics with such rows.
    All excepted rows keep the rules that they had.
    """
    earlier = {key: offset for key, offset in begins.items() if offset > 0}
    earlier_former = {*former}
    if rules_of(table) == READING_RULES:
        properties = table.metadata().configuration
        known = offsets_of(json.loads(properties.get(EARLIER, "{}")))
        # The topic may have been created again since its rows were recorded.
        earlier_former &= {
            *json.loads(properties.get(FORMER, "[]")),
            *(topic for (topic, _partition), offset in known.items() if offset > 0),
        }
        earlier = {key: min(offset, begins.get(key, 0)) for key, offset in known.items()}
    table.alter.set_table_properties(
        {
            TABLE_PROPERTY: str(READING_RULES),
            EARLIER: json.dumps(by_topic(earlier)),
            FORMER: json.dumps(sorted(earlier_former)),
        },
        raise_if_not_exists=False,
        commit_properties=commit_properties(progress),
    )
