"""Test the pause before an extractor connects again."""

from extractors.receive.backoff import Backoff


def longest(low: float, high: float) -> float:
    return high


def shortest(low: float, high: float) -> float:
    return low


def pause(
    backoff: Backoff,
    since_attempt: float = 100.0,
    healthy_for: float = 0.0,
    at_once: bool = False,
    demanded: float = 0.0,
) -> float:
    return backoff.pause(since_attempt, healthy_for, at_once=at_once, demanded=demanded)


def test_doubles_up_to_thirty_seconds_and_goes_on_for_ever() -> None:
    backoff = Backoff(interval=1.0, uniform=longest)
    assert [pause(backoff) for _ in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert {pause(backoff) for _ in range(10_000)} == {30.0}


def test_draws_from_zero_to_the_ceiling() -> None:
    bounds: list[tuple[float, float]] = []

    def recorded(low: float, high: float) -> float:
        bounds.append((low, high))
        return low

    backoff = Backoff(interval=1.0, uniform=recorded)
    pause(backoff)
    pause(backoff)
    assert bounds == [(0.0, 1.0), (0.0, 2.0)]


def test_minute_of_flowing_data_makes_earlier_failures_forgotten() -> None:
    backoff = Backoff(interval=1.0, uniform=longest)
    for _ in range(5):
        pause(backoff)
    assert pause(backoff, healthy_for=59.9) == 30.0
    assert pause(backoff, healthy_for=60.0) == 1.0
    assert pause(backoff) == 2.0


def test_attempts_are_never_closer_than_the_exchange_allows() -> None:
    backoff = Backoff(interval=2.0, uniform=shortest)
    assert pause(backoff, since_attempt=0.5) == 1.5
    assert pause(backoff, since_attempt=2.0) == 0.0


def test_pause_that_the_exchange_demands_is_kept() -> None:
    assert pause(Backoff(interval=2.0, uniform=longest), demanded=45.0) == 45.0


def test_first_failure_may_be_followed_at_once_and_later_ones_not() -> None:
    backoff = Backoff(interval=1.0, uniform=longest)
    assert [pause(backoff, at_once=True) for _ in range(3)] == [0.0, 2.0, 4.0]
    assert pause(backoff, healthy_for=60.0, at_once=True) == 0.0


def test_failure_counts_though_the_next_attempt_was_at_once() -> None:
    backoff = Backoff(interval=1.0, uniform=longest)
    assert [pause(backoff, at_once=True), pause(backoff)] == [0.0, 2.0]


def test_at_once_keeps_to_the_limits_of_the_exchange() -> None:
    assert pause(Backoff(interval=2.0), since_attempt=0.5, at_once=True) == 1.5
    assert pause(Backoff(interval=2.0), at_once=True, demanded=45.0) == 45.0


def test_a_rotation_of_a_healthy_connection_forgets_failures_too() -> None:
    backoff = Backoff(interval=2.0, uniform=longest)
    for _ in range(4):
        pause(backoff)
    assert backoff.pause_of_rotation(since_attempt=0.5, healthy_for=59.9) == 1.5
    assert pause(backoff, at_once=True) == 16.0
    assert backoff.pause_of_rotation(since_attempt=82_800.0, healthy_for=82_800.0) == 0.0
    assert pause(backoff, since_attempt=2.0, at_once=True) == 0.0
