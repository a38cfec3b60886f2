from decimal import Decimal

from crypto_prices import Price
from crypto_prices.pending import Pending


def price(symbol: str, amount: int) -> Price:
    return Price("binance", symbol, price=Decimal(amount))


def test_a_slow_caller_gets_the_newest_price_of_each_symbol() -> None:
    pending = Pending()
    pending.add([price("A", 1), price("B", 1)])
    pending.add([price("A", 2)])

    assert [pending.pop(), pending.pop()] == [price("A", 2), price("B", 1)]
    assert (len(pending), pending.skipped) == (0, 1)
