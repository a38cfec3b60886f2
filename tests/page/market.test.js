import assert from "node:assert/strict";
import { test } from "node:test";
import { day, instrument, market, price } from "./pairs.js";

const BOTH = { "binance BTCUSDT": "BTC/USDT", "kucoin BTC-USDT": "BTC/USDT" };

test("the symbols of two exchanges with one base and quote are one pair", () => {
  const { pairs } = market(
    [price("binance", "BTCUSDT", "1"), price("kucoin", "BTC-USDT", "2")],
    BOTH,
  );
  assert.deepEqual([...pairs.keys()], ["BTC/USDT"]);
  const prices = [...pairs.get("BTC/USDT").sides.values()].map((side) => side.price.price);
  assert.deepEqual(prices, ["1", "2"]);
});

test("a third exchange is one more side", () => {
  const { pairs } = market([price("kraken", "XBT/USDT", "3"), price("binance", "BTCUSDT", "1")], {
    ...BOTH,
    "kraken XBT/USDT": "BTC/USDT",
  });
  assert.deepEqual([...pairs.get("BTC/USDT").sides.keys()], ["kraken", "binance"]);
});

test("base and quote come from the instrument, not from the symbol", () => {
  const { pairs } = market([price("kucoin", "BCHSV-USDT", "1")], {
    "kucoin BCHSV-USDT": "BSV/USDT",
  });
  assert.deepEqual([...pairs.keys()], ["BSV/USDT"]);
});

test("a symbol that no exchange lists is a pair of its own until it is listed", () => {
  const created = market([price("binance", "NEWUSDT", "1")], {});
  assert.deepEqual([...created.pairs.keys()], ["NEWUSDT"]);
  created.setInstruments([instrument("binance", "NEWUSDT", "NEW", "USDT")]);
  assert.deepEqual([...created.pairs.keys()], ["NEW/USDT"]);
});

test("of two symbols of one pair on one exchange, the one that trades is shown", () => {
  const names = { "kucoin OLD-USDT": "A/USDT", "kucoin A-USDT": "A/USDT" };
  const status = { "kucoin OLD-USDT": "DELISTED", "kucoin A-USDT": "TRADING" };
  const old = price("kucoin", "OLD-USDT", "1");
  const current = price("kucoin", "A-USDT", "2");
  for (const prices of [
    [old, current],
    [current, old],
  ]) {
    const side = market(prices, names, status).pairs.get("A/USDT").sides.get("kucoin");
    assert.equal(side.symbol, "A-USDT");
  }
});

test("a change keeps the pair, a snapshot removes what it lacks", () => {
  const created = market([price("binance", "BTCUSDT", "1")], BOTH);
  const pair = created.pairs.get("BTC/USDT");
  const { changed, isNew } = created.update([price("binance", "BTCUSDT", "2")]);
  assert.deepEqual([...changed], ["BTC/USDT"]);
  assert.equal(isNew, false);
  assert.equal(pair.sides.get("binance").price.price, "2");
  created.replace([]);
  assert.equal(created.pairs.size, 0);
});

test("a pair keeps the most decimals that it has had", () => {
  const created = market([price("binance", "BTCUSDT", "85439.99")], BOTH);
  created.update([price("binance", "BTCUSDT", "85440")]);
  assert.equal(created.pairs.get("BTC/USDT").places, 2);
  created.update([price("kucoin", "BTC-USDT", "85440.1", { bid: "85440.125" })]);
  assert.equal(created.pairs.get("BTC/USDT").places, 3);
  created.replace([price("binance", "BTCUSDT", "85440")]);
  assert.equal(created.pairs.get("BTC/USDT").places, 3);
});

test("a last day is kept for a side that arrives later", () => {
  const created = market([], BOTH);
  created.setDays([day("kucoin", "BTC-USDT", { open: "1" })]);
  created.update([price("kucoin", "BTC-USDT", "2")]);
  assert.equal(created.pairs.get("BTC/USDT").sides.get("kucoin").day.open, "1");
});
