from crypto_prices.backoff import LONGEST, Backoff


def test_waits_grow_to_the_longest_and_start_again() -> None:
    backoff = Backoff()
    waits = [backoff.wait() for _ in range(10)]

    assert 0.25 <= waits[0] <= 0.5
    assert all(LONGEST / 2 <= wait <= LONGEST for wait in waits[5:])
    backoff.reset()
    assert backoff.wait() <= 0.5
