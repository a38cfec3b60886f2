import json

from server.live_prices import LivePrices, Reading
from server.prices import Price
from tests import live_job


def price(symbol: str, amount: str, batch_id: int, exchange: str = "binance") -> Price:
    whole = live_job.price(exchange, symbol, amount, batch_id=batch_id)
    return whole._replace(json=json.dumps(row(symbol, amount, exchange)))


def row(symbol: str, amount: str, exchange: str = "binance") -> dict[str, str]:
    return {"exchange": exchange, "symbol": symbol, "price": amount}


def test_a_snapshot_has_every_row_in_its_latest_version() -> None:
    prices = LivePrices(Reading(1, None, [price("BTCUSDT", "1", 1), price("ETHUSDT", "2", 1)]))

    prices.advance(Reading(2, 1, [price("BTCUSDT", "3", 2)]))

    assert json.loads(prices.snapshot()) == {
        "type": "snapshot",
        "id": 2,
        "prices": [row("BTCUSDT", "3"), row("ETHUSDT", "2")],
    }


def test_changes_are_the_rows_that_later_batches_wrote() -> None:
    prices = LivePrices(Reading(1, None, [price("BTCUSDT", "1", 1), price("ETHUSDT", "2", 1)]))

    prices.advance(Reading(2, 1, [price("BTCUSDT", "3", 2)]))
    prices.advance(Reading(4, 2, [price("BTCUSDT", "4", 3), price("SOLUSDT", "5", 4)]))

    assert json.loads(prices.changes_since(2)) == {
        "type": "changes",
        "id": 4,
        "previous": 2,
        "prices": [row("BTCUSDT", "4"), row("SOLUSDT", "5")],
    }
    assert json.loads(prices.changes_since(3))["prices"] == [row("SOLUSDT", "5")]


def test_clients_who_are_equally_far_share_one_text() -> None:
    prices = LivePrices(Reading(1, None, [price("BTCUSDT", "1", 1)]))

    prices.advance(Reading(2, 1, [price("BTCUSDT", "2", 2)]))

    assert prices.changes_since(1) is prices.changes_since(1)
    assert prices.snapshot() is prices.snapshot()


def test_a_batch_that_wrote_nothing_still_moves_the_id() -> None:
    prices = LivePrices(Reading(1, None, [price("BTCUSDT", "1", 1)]))

    prices.advance(Reading(2, 1, []))

    assert json.loads(prices.changes_since(1)) == {
        "type": "changes",
        "id": 2,
        "previous": 1,
        "prices": [],
    }


def test_an_answer_is_filtered_and_in_order() -> None:
    prices = LivePrices(
        Reading(
            7,
            None,
            [price("ETH", "2", 7, "kucoin"), price("ETH", "1", 7), price("BTC", "3", 7, "kucoin")],
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

    prices = LivePrices(Reading(1, None, [btc, eth, btc_of_kucoin]))

    assert prices.get("kucoin", "BTC") == btc_of_kucoin
    assert prices.get("kucoin", "ETH") is None
    assert prices.of("binance") == [btc, eth]
