"""How long an extractor waits before it connects again."""

from extractors.backoff import Backoff


def longest(low: float, high: float) -> float:
    return high


def shortest(low: float, high: float) -> float:
    return low


def pause(
    backoff: Backoff, lasted: float = 100.0, healthy_for: float = 0.0, demanded: float = 0.0
) -> float:
    return backoff.pause(lasted, healthy_for, demanded)


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
    assert pause(backoff, lasted=0.5) == 1.5
    assert pause(backoff, lasted=2.0) == 0.0


def test_pause_that_the_exchange_demands_is_kept() -> None:
    assert pause(Backoff(interval=2.0, uniform=longest), demanded=45.0) == 45.0
