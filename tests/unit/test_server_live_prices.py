import json

from server.live_prices import LivePrices, Reading
from server.prices import Price
from tests import live_job


def price(symbol: str, amount: str, batch_id: int, exchange: str = "binance") -> Price:
    return live_job.price(exchange, symbol, amount, batch_id=batch_id)


def row(symbol: str, amount: str, exchange: str = "binance") -> dict[str, str]:
    return {"exchange": exchange, "symbol": symbol, "price": amount}


def test_an_answer_is_filtered_and_in_order() -> None:
    prices = LivePrices(
        Reading(
            "e",
            7,
            None,
            [price("ETH", "2", 7, "kucoin"), price("ETH", "1", 7), price("BTC", "3", 7, "kucoin")],
            {},
        )
    )

    def answer(exchange: str | None = None, symbol: str | None = None) -> list[dict[str, str]]:
        answer = json.loads(prices.answer(exchange, symbol))
        assert answer["id"] == 7
        return list(answer["prices"])

    eth_of_binance, btc, eth = row("ETH", "1"), row("BTC", "3", "kucoin"), row("ETH", "2", "kucoin")
    assert answer() == [eth_of_binance, btc, eth]
    assert answer(exchange="kucoin") == [btc, eth]
    assert answer(symbol="ETH") == [eth_of_binance, eth]
    assert answer(exchange="kucoin", symbol="ETH") == [eth]
    assert answer(symbol="eth") == []


def test_a_row_is_found_by_its_exchange_and_symbol() -> None:
    btc, eth, btc_of_kucoin = (
        price("BTC", "1", 1),
        price("ETH", "2", 1),
        price("BTC", "3", 1, "kucoin"),
    )

    prices = LivePrices(Reading("e", 1, None, [btc, eth, btc_of_kucoin], {}))

    assert prices.get("kucoin", "BTC") == btc_of_kucoin
    assert prices.get("kucoin", "ETH") is None
    assert prices.of("binance") == [btc, eth]


def test_a_state_has_a_name_that_no_other_database_understands() -> None:
    prices = LivePrices(Reading("5f3c", 311, None, [], {}))

    assert prices.name(305) == "5f3c-305"
    assert prices.batch_named("5f3c-305") == 305
    for unknown in (
        "5f3d-305",
        "5f3c-312",
        "305",
        "5f3c-",
        "5f3c-+5",
        "5f3c-\N{ARABIC-INDIC DIGIT FIVE}",
        "-5f3c-305",
    ):
        assert prices.batch_named(unknown) is None
