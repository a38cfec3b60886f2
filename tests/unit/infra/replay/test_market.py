"""Test the simulated market without a server."""

from decimal import Decimal
from itertools import pairwise

import pytest

from infra.replay.market.coins import Coins
from infra.replay.market.day import Day, Hour
from infra.replay.market.instrument import Instrument
from infra.replay.market.market import Market
from infra.replay.market.symbols import (
    Pair,
    binance_listing,
    binance_trading,
    kucoin_listing,
    kucoin_trading,
)

BINANCE = binance_trading(binance_listing(), 1440)
KUCOIN = kucoin_trading(kucoin_listing())
# Half a second before a full hour.
START = 1_763_837_999_500


def market(
    pairs: list[Pair] = KUCOIN,
    *,
    seed: int = 1,
    coins: Coins | None = None,
    period: float = 0.1,
    changed: float = 0.5,
    traded: float = 0.1,
) -> Market:
    coins = coins or Coins([*BINANCE, *KUCOIN], seed)
    return Market(pairs, coins, seed=seed, period=period, changed=changed, traded=traded, now=START)


def prices(of: Market, turns: int) -> list[tuple[str, int, int, int]]:
    return [
        (i.pair.symbol, i.price, i.bid, i.ask)
        for turn in range(turns)
        for i in of.turn(of.instruments, START + turn * 1000)
    ]


def by_symbol(of: Market) -> dict[str, Instrument]:
    return {i.pair.symbol: i for i in of.instruments}


def middle(instrument: Instrument) -> float:
    return (instrument.bid + instrument.ask) / 2 * float(instrument.pair.price_increment)


def test_the_same_seed_and_turns_make_the_same_prices() -> None:
    first = prices(market(), 20)
    assert len(first) > 5000
    assert prices(market(), 20) == first
    assert prices(market(seed=2), 20) != first


def test_well_known_coins_begin_near_their_real_level() -> None:
    instruments = by_symbol(market(BINANCE))
    assert 84_000 < middle(instruments["BTCUSDT"]) < 86_000
    assert 1_950 < middle(instruments["ETHUSDT"]) < 2_050
    assert 0.70 < middle(instruments["ADAUSDT"]) < 0.74


def test_the_pairs_of_a_coin_fit_together_on_both_exchanges() -> None:
    coins = Coins([*BINANCE, *KUCOIN], seed=1)
    both = [market(BINANCE, coins=coins, changed=1), market(KUCOIN, coins=coins, changed=1)]
    for turn in range(600):
        coins.advance(turn)
    for each in both:
        each.turn(each.instruments, START)
    binance, kucoin = map(by_symbol, both)

    bitcoin = middle(binance["BTCUSDT"])
    assert bitcoin != 85_000
    assert middle(kucoin["BTC-USDT"]) == pytest.approx(bitcoin, rel=0.003)
    assert middle(kucoin["BTC-USDT"]) != bitcoin
    ada = middle(binance["ADAUSDT"])
    assert middle(binance["ADAEUR"]) * middle(binance["EURUSDT"]) == pytest.approx(ada, rel=0.003)
    assert middle(binance["ADABTC"]) * bitcoin == pytest.approx(ada, rel=0.003)


def test_prices_wander_in_steps_of_their_pair() -> None:
    coins = Coins(KUCOIN, seed=1)
    bitcoin = next(p for p in KUCOIN if p.symbol == "BTC-USDT")
    one = market([bitcoin], coins=coins, changed=1, traded=1)
    seen = [i.price for s in range(100) for i in one.turn(one.instruments, START + s * 1000)]
    moves = [abs(b - a) for a, b in pairwise(seen)]
    # The increment is 0.1 USDT: 85,000 USDT are 850,000 increments, and 50 basis points are 4,250.
    assert len(set(seen)) > 50
    assert 0 < max(moves) < 4250


def test_coins_wander_once_a_second() -> None:
    coins = Coins(KUCOIN, seed=1)
    coins.advance(5)
    after_five = dict(coins.dollars)
    coins.advance(5)
    assert coins.dollars == after_five
    coins.advance(6)
    assert all(value != after_five[coin] for coin, value in coins.dollars.items())


@pytest.mark.parametrize("pairs", [BINANCE, KUCOIN], ids=["binance", "kucoin"])
def test_every_price_begins_at_a_level_that_its_increment_can_express(pairs: list[Pair]) -> None:
    assert min(i.bid for i in market(pairs).instruments) > 15


@pytest.mark.parametrize("pairs", [BINANCE, KUCOIN], ids=["binance", "kucoin"])
def test_a_bid_lies_below_its_ask_and_amounts_are_positive(pairs: list[Pair]) -> None:
    for i in market(pairs).instruments:
        assert 0 < i.bid < i.ask
        assert min(i.price, i.size, i.bid_size, i.ask_size) > 0


def test_the_day_holds_the_price_and_its_own_mean_across_a_new_hour() -> None:
    one = market(BINANCE, period=1, traded=1)
    for second in range(5):
        for i in one.turn(one.instruments, START + second * 1000):
            day = i.day
            assert 0 < day.low <= i.price <= day.high
            assert day.low <= day.open <= day.high
            assert day.base_volume > 0
            assert day.low * day.base_volume <= day.quote_volume <= day.high * day.base_volume


def test_the_days_lose_their_oldest_hour_when_an_hour_begins() -> None:
    one = market()
    opens = [i.day.open for i in one.instruments]
    one.turn(one.instruments, START)
    assert [i.day.open for i in one.instruments] == opens
    one.turn(one.instruments, START + 1000)
    changed = sum(i.day.open != before for i, before in zip(one.instruments, opens, strict=True))
    assert changed > 0.8 * len(opens)


def test_a_day_adds_trades_to_its_last_hour() -> None:
    day = Day([Hour(10, 12, 9, 5, 50)])
    day.trade(price=14, size=2)
    day.trade(price=8, size=1)
    assert (day.open, day.high, day.low) == (10, 14, 8)
    assert (day.base_volume, day.quote_volume) == (8, 86)


def test_a_day_forgets_its_oldest_hour_when_one_begins() -> None:
    day = Day([Hour(10, 99, 1, 5, 50)] + [Hour(20, 30, 15, 1, 20)] * 23)
    day.begin_hour(price=25)
    assert (day.open, day.high, day.low) == (20, 30, 15)
    assert (day.base_volume, day.quote_volume) == (23, 460)


def test_sequences_grow_by_1_to_33_with_every_change() -> None:
    one = market()
    last = {i.pair.symbol: i.sequence for i in one.instruments}
    steps = set()
    for turn in range(20):
        for i in one.turn(one.instruments, START + turn * 100):
            steps.add(i.sequence - last[i.pair.symbol])
            last[i.pair.symbol] = i.sequence
    assert steps == set(range(1, 34))


def test_the_time_of_a_trade_grows_with_trades_and_with_nothing_else() -> None:
    one = market(traded=0.3)
    last = {i.pair.symbol: (i.traded_at, i.price, i.size) for i in one.instruments}
    trades = changes = 0
    for turn in range(50):
        now = START + turn * 100
        for i in one.turn(one.instruments, now):
            changes += 1
            traded_at, price, size = last[i.pair.symbol]
            if i.traded_at == traded_at:
                assert (i.price, i.size) == (price, size)
            else:
                trades += 1
                assert traded_at < i.traded_at <= now
            last[i.pair.symbol] = (i.traded_at, i.price, i.size)
    assert trades / changes == pytest.approx(0.3, abs=0.02)
    # Minutes old, as KuCoin's are.
    assert min(traded_at for traded_at, _, _ in last.values()) < START - 60_000


def test_no_two_trades_of_a_symbol_share_a_time_even_when_the_clock_stops() -> None:
    one = market([KUCOIN[0]], changed=1, traded=1)
    times = [i.traded_at for _ in range(50) for i in one.turn(one.instruments, START)]
    assert len(set(times)) == 50
    assert times == sorted(times)


@pytest.mark.parametrize("changed", [0.05, 0.4, 1.0])
def test_the_share_that_was_asked_for_changes(changed: float) -> None:
    one = market(BINANCE, period=1, changed=changed)
    turns = [len(one.turn(one.instruments, START + s * 1000)) for s in range(20)]
    assert sum(turns) / 20 / 1440 == pytest.approx(changed, rel=0.05)


@pytest.mark.parametrize("changed", [0, 1.5])
def test_a_share_that_can_not_be_is_refused_by_its_value(changed: float) -> None:
    with pytest.raises(ValueError, match=f"^share of changed instruments {changed}: "):
        market(changed=changed)


@pytest.mark.parametrize("base", ["AAA", "BTC"])
def test_a_pair_with_an_unknown_quote_is_refused_by_name(base: str) -> None:
    pair = Pair(f"{base}BBB", base, "BBB", Decimal("0.01"), Decimal("0.1"))
    with pytest.raises(ValueError, match=rf"^{base}BBB: data/coins\.csv has no BBB$"):
        Coins([pair], seed=1)


def test_the_past_of_a_pair_is_the_same_on_both_exchanges() -> None:
    coins = Coins([*BINANCE, *KUCOIN], 1)
    binance, kucoin = (by_symbol(market(pairs, coins=coins)) for pairs in (BINANCE, KUCOIN))
    end = START // 1000
    for days, interval in ((1, "1h"), (30, "1h"), (300, "1d")):
        closes = [
            [
                each.close * float(instrument.pair.price_increment)
                for each in instrument.candles.of(interval, end - days * 86_400, end, end)
            ]
            for instrument in (binance["BTCUSDT"], kucoin["BTC-USDT"])
        ]
        assert len(closes[0]) >= min(days * 24, 300)
        assert closes[0] == pytest.approx(closes[1], rel=0.002)


@pytest.mark.parametrize("pairs", [BINANCE, KUCOIN])
def test_volumes_fall_with_the_rank_of_a_pair(pairs: list[Pair]) -> None:
    coins = Coins([*BINANCE, *KUCOIN], 1)
    volumes = [
        i.day.quote_volume * float(i.pair.price_increment * i.pair.size_increment)
        for i in market(pairs, coins=coins).instruments[:100]
    ]
    assert pairs[0].base == "BTC"
    assert volumes[0] > volumes[10] > volumes[30] > volumes[99] > 0
