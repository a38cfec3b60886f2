"""Steps of the history have each offset once; narrowed steps have the first to the last wanted offset."""

from spark_jobs.history.steps import OffsetSpan, in_steps, narrowed
from spark_jobs.kafka_source.offsets import Offsets

BEGINS: Offsets = {("a", 0): 10, ("a", 1): 0, ("b", 0): 5}
ENDS: Offsets = {("a", 0): 110, ("a", 1): 50, ("b", 0): 5}
STEPS = [
    (
        {("a", 0): 10, ("a", 1): 0, ("b", 0): 5},
        {("a", 0): 43, ("a", 1): 16, ("b", 0): 5},
    ),
    (
        {("a", 0): 43, ("a", 1): 16, ("b", 0): 5},
        {("a", 0): 76, ("a", 1): 33, ("b", 0): 5},
    ),
    (
        {("a", 0): 76, ("a", 1): 33, ("b", 0): 5},
        {("a", 0): 110, ("a", 1): 50, ("b", 0): 5},
    ),
]


def test_steps_take_the_same_share_of_each_partition_and_leave_nothing_out() -> None:
    assert [*in_steps(BEGINS, ENDS, 60)] == STEPS
    assert [*in_steps(BEGINS, BEGINS, 60)] == []


def test_a_partition_without_a_begin_or_an_end_is_in_no_step() -> None:
    begins: Offsets = {**BEGINS, ("b", 1): 0}
    ends: Offsets = {**ENDS, ("b", 2): 7}
    assert [*in_steps(begins, ends, 60)] == STEPS


def test_a_step_is_narrowed_to_the_span_from_its_first_to_its_last_wanted_offset() -> None:
    wanted = [OffsetSpan("a", 0, 20, 20), OffsetSpan("a", 0, 30, 43), OffsetSpan("a", 1, 3, 4)]
    assert [*narrowed(STEPS, wanted)] == [
        ({("a", 0): 20, ("a", 1): 3}, {("a", 0): 43, ("a", 1): 5}),
        ({("a", 0): 43}, {("a", 0): 44}),
    ]
    assert [*narrowed(STEPS, [])] == []
