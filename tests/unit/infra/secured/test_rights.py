"""Test the rights of each user against the document that lists them."""

import re

import pytest
from confluent_kafka.admin import ResourceType  # type: ignore[attr-defined]

from infra.paths import PROJECT
from infra.secured.rights import KAFKA_RIGHTS, QUERIES, RAW_TOPICS, Right, s3_policy

BUCKET = "arn:aws:s3:::prices"
DOCUMENT = (PROJECT / "docs" / "managed-kafka.md").read_text()


def documented(program: str) -> set[tuple[str, str]]:
    """Return each operation with its topic from the first row of a program."""
    row = re.findall(rf"^\| [^|]*`{program}`[^|]* \| ((?:Write|Read)[^|]*) \|", DOCUMENT, re.M)[0]
    clauses = re.findall(r"((?:Write|Read)(?: and Read)?) (`\w+`(?:(?:, | and )`\w+`)*)", row)
    return {
        (operation, topic)
        for operations, topics in clauses
        for operation in operations.split(" and ")
        for topic in re.findall(r"`(\w+)`", topics)
    }


@pytest.mark.parametrize(
    ("user", "program", "of_other_programs"),
    [
        # The extractor `kucoin` has the same rights on its own topic.
        ("extractors", "binance", {"kucoin_raw_data"}),
        ("jobs", "live_prices", set[str]()),
    ],
)
def test_topics_that_a_user_may_write_or_read_are_documented(
    user: str, program: str, of_other_programs: set[str]
) -> None:
    assert documented(program) == {
        (right.operation, right.name)
        for right in KAFKA_RIGHTS[user]
        if right.kind is ResourceType.TOPIC
        if right.operation in ("Read", "Write") and right.name not in of_other_programs
    }


def test_groups_in_which_the_jobs_publish_their_progress_are_documented() -> None:
    (listed,) = re.findall(r"Read each group .*?: (.*?)\. Without", DOCUMENT)
    assert listed == ", ".join(f"`{query}`" for query in QUERIES)


@pytest.mark.parametrize("user", ["extractors", "jobs"])
def test_group_that_a_user_describes_is_documented_with_its_command(user: str) -> None:
    (group,) = (each.name for each in KAFKA_RIGHTS[user] if each.operation == "Describe")
    assert f"| Describe group `{group}`, which librdkafka looks up" in DOCUMENT
    assert f"\nacl --operation Describe --group {group}\n" in DOCUMENT


def test_jobs_write_no_topic() -> None:
    on_topics = {each for each in KAFKA_RIGHTS["jobs"] if each.kind is ResourceType.TOPIC}
    operations = {right.operation for right in on_topics}
    assert operations == {"Read", "Describe_Configs"}
    assert {Right("Describe_Configs", topic) for topic in RAW_TOPICS} < {*KAFKA_RIGHTS["jobs"]}


def test_policy_of_extractors_only_adds_objects_below_landing() -> None:
    assert s3_policy("extractors", "prices")["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:AbortMultipartUpload"],
            "Resource": [f"{BUCKET}/landing", f"{BUCKET}/landing/*"],
        }
    ]


def test_policy_of_jobs_has_no_write_to_landing_and_no_whole_bucket() -> None:
    writing, reading, listing = s3_policy("jobs", "prices")["Statement"]
    folders = [
        f"{BUCKET}/{each}{end}" for each in ("raw", "staging", "tickers") for end in ("", "/*")
    ]
    assert (writing["Resource"], "s3:DeleteObject" in writing["Action"]) == (folders, True)
    landing = [f"{BUCKET}/landing", f"{BUCKET}/landing/*"]
    assert (reading["Action"], reading["Resource"]) == (["s3:GetObject"], landing + folders)
    assert listing["Condition"]["StringLike"]["s3:prefix"][:2] == ["landing", "landing/*"]
