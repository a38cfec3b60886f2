from decimal import Decimal

from crypto_prices import Price
from crypto_prices.backoff import LONGEST, Backoff
from crypto_prices.pending import Pending


def price(symbol: str, amount: int) -> Price:
    return Price("binance", symbol, price=Decimal(amount))


def test_a_slow_caller_gets_the_newest_price_of_each_symbol() -> None:
    pending = Pending()
    pending.add([price("A", 1), price("B", 1)])
    pending.add([price("A", 2)])

    assert [pending.pop(), pending.pop()] == [price("A", 2), price("B", 1)]
    assert (len(pending), pending.skipped) == (0, 1)


def test_waits_grow_to_the_longest_and_start_again() -> None:
    backoff = Backoff()
    waits = [backoff.wait() for _ in range(10)]

    assert 0.25 <= waits[0] <= 0.5
    assert all(LONGEST / 2 <= wait <= LONGEST for wait in waits[5:])
    backoff.reset()
    assert backoff.wait() <= 0.5
