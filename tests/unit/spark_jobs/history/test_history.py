"""Test at which offset a rebuild ends."""

from spark_jobs.history.history import end_after


def test_a_rebuild_ends_at_the_progress_where_the_jobs_resume() -> None:
    assert end_after(100, low=100, high=5000) == 100
    assert end_after(5000, low=100, high=5000) == 5000


def test_it_ends_at_kafkas_end_if_nothing_was_read_or_the_next_record_has_expired() -> None:
    assert end_after(None, low=100, high=5000) == 5000
    assert end_after(99, low=100, high=5000) == 5000
