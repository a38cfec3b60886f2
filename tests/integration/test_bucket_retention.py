"""Set the lifecycle rules that expire landing/ and raw/, and read them back from the object store."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from core.settings import Settings
from infra.services import object_store


@pytest.fixture
def bucket(settings: Settings) -> Iterator[Settings]:
    """The stack's settings with the name of a bucket that does not exist yet."""
    own = replace(
        settings,
        s3_bucket=f"retention-{uuid4().hex}",
        landing_retention_days=7,
        raw_retention_days=9,
    )
    yield own
    object_store.client(own).delete_bucket(Bucket=own.s3_bucket)


def rules(settings: Settings) -> list[dict[str, Any]]:
    answer = object_store.client(settings).get_bucket_lifecycle_configuration(
        Bucket=settings.s3_bucket
    )
    return sorted((dict(rule) for rule in answer["Rules"]), key=lambda rule: rule["ID"])


def retention(days: int, prefix: str = "landing") -> dict[str, Any]:
    return {
        "ID": f"{prefix}-retention",
        "Status": "Enabled",
        "Filter": {"Prefix": f"{prefix}/"},
        "Expiration": {"Days": days},
    }


def test_the_stacks_bucket_keeps_landing_and_raw_for_as_many_days_as_the_setting_says(
    settings: Settings,
) -> None:
    assert retention(settings.landing_retention_days) in rules(settings)
    assert retention(settings.raw_retention_days, "raw") in rules(settings)


def test_a_second_time_changes_nothing_and_another_setting_changes_the_days(
    bucket: Settings,
) -> None:
    for days in (7, 7, 3):
        object_store.initialise(replace(bucket, landing_retention_days=days))
        assert rules(bucket) == [retention(days), retention(9, "raw")]


def test_other_rules_of_the_bucket_stay(bucket: Settings) -> None:
    object_store.initialise(bucket)
    other: Any = {
        "ID": "another",
        "Status": "Enabled",
        "Filter": {"Prefix": "tickers/"},
        "Expiration": {"Days": 400},
    }
    object_store.client(bucket).put_bucket_lifecycle_configuration(
        Bucket=bucket.s3_bucket, LifecycleConfiguration={"Rules": [other]}
    )
    for days in (7, 3):
        object_store.initialise(replace(bucket, landing_retention_days=days))
        assert rules(bucket) == [other, retention(days), retention(9, "raw")]
