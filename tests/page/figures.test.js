import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bookSide,
  change,
  difference,
  isAllStale,
  mainSide,
  spread,
  usdtRates,
  volume,
  volumeInUsdt,
} from "../../server/page/model/figures.js";
import { day, market, NOW, price } from "./pairs.js";

const NAMES = ["binance", "kucoin"];

/** Returns BTC/USDT with these fields on each exchange. */
function pairOf(binance, kucoin, status) {
  const created = market(
    [
      price("binance", "BTCUSDT", binance.price, binance),
      price("kucoin", "BTC-USDT", kucoin.price, kucoin),
    ],
    { "binance BTCUSDT": "BTC/USDT", "kucoin BTC-USDT": "BTC/USDT" },
    status,
  );
  return created.pairs.get("BTC/USDT");
}

test("the difference is highest less lowest over lowest, in basis points", () => {
  const found = difference(pairOf({ price: "100" }, { price: "100.5" }), NAMES, NOW);
  assert.equal(found.points.toFixed(6), "50.000000");
  assert.deepEqual([found.highest, found.lowest], ["kucoin", "binance"]);
});

test("a stale side has no difference", () => {
  const pair = pairOf({ price: "100" }, { price: "100.5", age: 60_001 });
  assert.equal(difference(pair, NAMES, NOW), null);
});

test("a side whose last trade is old has no difference, however fresh its ticker is", () => {
  const traded_at = new Date(NOW - 60_001).toISOString();
  assert.equal(difference(pairOf({ price: "1" }, { price: "1", traded_at }), NAMES, NOW), null);
});

test("a halted side has no difference", () => {
  const pair = pairOf({ price: "1" }, { price: "1" }, { "kucoin BTC-USDT": "HALTED" });
  assert.equal(difference(pair, NAMES, NOW), null);
});

test("prices more than 20 % apart are probably of two coins and have no difference", () => {
  assert.equal(difference(pairOf({ price: "1" }, { price: "1.21" }), NAMES, NOW), null);
  assert.notEqual(difference(pairOf({ price: "1" }, { price: "1.2" }), NAMES, NOW), null);
});

test("one exchange has no difference to itself", () => {
  assert.equal(difference(pairOf({ price: "1" }, { price: "2" }), ["binance"], NOW), null);
});

test("the change is that of the ticker, or of the candles, which is marked", () => {
  const pair = pairOf({ price: "110", open_24h: "100" }, { price: "90" });
  const side = pair.sides.get("kucoin");
  assert.deepEqual(change(pair.sides.get("binance")), { percent: 10, fromCandles: false });
  assert.equal(change(side), null);
  side.day = day("kucoin", "BTC-USDT", { open: "100", quote_volume: "5" });
  assert.deepEqual(change(side), { percent: -10, fromCandles: true });
  assert.deepEqual(volume(side), { text: "5", fromCandles: true });
});

test("the main side is the one whose ticker has a volume, even if the candles have more", () => {
  const pair = pairOf({ price: "1", quote_volume_24h: "7" }, { price: "1" });
  pair.sides.get("kucoin").day = day("kucoin", "BTC-USDT", { quote_volume: "9" });
  const rates = new Map([["USDT", 1]]);
  assert.equal(mainSide(pair, NAMES, rates).exchange, "binance");
  assert.equal(mainSide(pair, ["kucoin"], rates).exchange, "kucoin");
});

test("the main side is one that trades, unless all are halted", () => {
  const amounts = { price: "1", quote_volume_24h: "7" };
  const pair = pairOf(amounts, { price: "1" }, { "binance BTCUSDT": "BREAK" });
  const rates = new Map([["USDT", 1]]);
  assert.equal(mainSide(pair, NAMES, rates).exchange, "kucoin");
  assert.equal(mainSide(pair, ["binance"], rates).exchange, "binance");
});

test("volumes of two exchanges are never added", () => {
  const pair = pairOf({ price: "1", quote_volume_24h: "7" }, { price: "1", quote_volume_24h: "9" });
  const rates = new Map([["USDT", 1]]);
  assert.equal(volumeInUsdt(pair, mainSide(pair, NAMES, rates), rates), 9);
});

test("bid, ask and spread are those of one exchange", () => {
  const pair = pairOf({ price: "1" }, { price: "1", bid: "99", ask: "101" });
  assert.equal(bookSide(pair, NAMES).exchange, "kucoin");
  assert.equal(spread(bookSide(pair, NAMES)), 200);
  assert.equal(spread(bookSide(pair, ["binance"])), null);
});

test("a pair is stale when all of its sides are", () => {
  const pair = pairOf({ price: "1" }, { price: "1", age: 60_001 });
  assert.equal(isAllStale(pair, NAMES, NOW), false);
  assert.equal(isAllStale(pair, ["kucoin"], NOW), true);
});

test("quotes are converted by their own pair, by its inverse, or by way of BTC", () => {
  const { pairs } = market(
    [
      price("binance", "BTCUSDT", "80000"),
      price("binance", "USDTTRY", "40"),
      price("binance", "KCSBTC", "0.0001"),
      price("binance", "AKCS", "1"),
      price("binance", "ATRY", "1"),
      price("binance", "ABTC", "1"),
      price("binance", "AXYZ", "1"),
    ],
    {
      "binance BTCUSDT": "BTC/USDT",
      "binance USDTTRY": "USDT/TRY",
      "binance KCSBTC": "KCS/BTC",
      "binance AKCS": "A/KCS",
      "binance ATRY": "A/TRY",
      "binance ABTC": "A/BTC",
      "binance AXYZ": "A/XYZ",
    },
  );
  const rates = usdtRates(pairs);
  assert.equal(rates.get("BTC"), 80_000);
  assert.equal(rates.get("TRY"), 0.025);
  assert.equal(rates.get("KCS"), 8);
  assert.equal(rates.has("XYZ"), false);
});
