from server.state.price_table import PriceTable, Reading
from server.state.prices import Price
from server.state.selection import Selection
from tests.support import live_job


def price(symbol: str, amount: str, batch_id: int, exchange: str = "binance") -> Price:
    return live_job.price(exchange, symbol, amount, batch_id=batch_id)


def test_rows_are_filtered_and_in_order() -> None:
    btc, eth = price("BTC", "3", 7, "kucoin"), price("ETH", "2", 7, "kucoin")
    eth_of_binance = price("ETH", "1", 7)
    prices = PriceTable(Reading("e", 7, None, [eth, eth_of_binance, btc]))
    kucoin, named = frozenset(["kucoin"]), frozenset(["ETH", "none"])

    assert prices.where(Selection()) == [eth_of_binance, btc, eth]
    assert prices.where(Selection(exchanges=kucoin)) == [btc, eth]
    assert prices.where(Selection(symbols=named)) == [eth_of_binance, eth]
    assert prices.where(Selection(exchanges=kucoin, symbols=named)) == [eth]
    assert prices.where(Selection(symbols=frozenset(["eth"]))) == []


def test_a_row_is_found_by_its_exchange_and_symbol() -> None:
    btc, eth, btc_of_kucoin = (
        price("BTC", "1", 1),
        price("ETH", "2", 1),
        price("BTC", "3", 1, "kucoin"),
    )

    prices = PriceTable(Reading("e", 1, None, [btc, eth, btc_of_kucoin]))

    assert prices.get("kucoin", "BTC") == btc_of_kucoin
    assert prices.get("kucoin", "ETH") is None
    assert prices.of("binance") == [btc, eth]


def test_the_id_of_a_state_is_unknown_to_other_databases() -> None:
    prices = PriceTable(Reading("5f3c", 311, None, []))

    assert prices.name(305) == "5f3c-305"
    assert prices.batch_of_id("5f3c-305") == 305
    for unknown in (
        "5f3d-305",
        "5f3c-312",
        "305",
        "5f3c-",
        "5f3c-+5",
        "5f3c-\N{ARABIC-INDIC DIGIT FIVE}",
        "-5f3c-305",
    ):
        assert prices.batch_of_id(unknown) is None
