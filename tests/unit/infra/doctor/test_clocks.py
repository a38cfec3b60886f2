"""Test how far a clock is ahead, when the time of the answer is only known to lie between two moments."""

import pytest

from infra.doctor.clocks import clock_finding, date_finding, difference

DATE, SECOND = "Fri, 28 Mar 2025 07:37:28 GMT", 1_743_147_448.0


@pytest.mark.parametrize(
    ("asked", "answered", "server", "expected"),
    [
        (100.0, 100.2, 100.1, 0.0),
        # A slow answer says little.
        (100.0, 160.0, 130.0, 0.0),
        (100.0, 100.5, 110.5, 10.0),
        (100.0, 100.5, 90.0, -10.0),
    ],
)
def test_difference_is_the_least_that_explains_the_answer(
    asked: float, answered: float, server: float, expected: float
) -> None:
    assert difference(asked, answered, server, server) == expected


def test_date_header_has_whole_seconds() -> None:
    assert [*date_finding("MinIO", SECOND + 0.9, SECOND + 1.0, DATE)] == []
    (ahead,) = date_finding("MinIO", SECOND - 10.5, SECOND - 10.0, DATE)
    (behind,) = date_finding("MinIO", SECOND + 11.0, SECOND + 11.5, DATE)
    assert ahead.problem == "the clock of MinIO is 10.0 s ahead of this machine's"
    assert behind.problem == "the clock of MinIO is 10.0 s behind this machine's"


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "Thu, 01 Jan 99999999999999999999 00:00:00 GMT"]
)
def test_a_missing_or_malformed_date_header_is_no_finding(date: str | None) -> None:
    assert [*date_finding("MinIO", SECOND - 10.5, SECOND - 10.0, date)] == []


def test_small_difference_is_no_finding() -> None:
    assert [*clock_finding("Kafka", 1.9)] == []
    (ahead,), (behind,) = clock_finding("Kafka", 3.25), clock_finding("Kafka", -3.25)
    assert ahead.problem == "the clock of Kafka is 3.2 s ahead of this machine's"
    assert behind.problem == "the clock of Kafka is 3.2 s behind this machine's"
