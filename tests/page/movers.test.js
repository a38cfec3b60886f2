import assert from "node:assert/strict";
import { test } from "node:test";
import { Held } from "../../server/page/held.js";
import { movers } from "../../server/page/model/movers.js";
import { marketOf, NOW, price } from "./pairs.js";

const OPENS = {
  "UP/USDT": "0.8",
  "TOP/USDT": "0.5",
  "DOWN/USDT": "2",
  "SAME/USDT": "1",
  "UP/BTC": "0.9",
};
const CONTEXT = {
  exchanges: ["binance"],
  rates: new Map([
    ["USDT", 1],
    ["BTC", 1],
  ]),
  now: NOW,
};

/** Returns the names in each list. */
function names(fields, quotes = []) {
  const { pairs } = marketOf(Object.keys(OPENS), (name) => ({
    open_24h: OPENS[name],
    quote_volume_24h: name === "SAME/USDT" ? "20000" : "10000",
    ...fields?.[name],
  }));
  const found = movers(pairs.values(), quotes, CONTEXT, 2);
  return Object.values(found).map((list) => list.map(({ pair }) => pair.key));
}

test("gainers, losers and volumes are listed from the top", () => {
  assert.deepEqual(names(), [["TOP/USDT", "UP/USDT"], ["DOWN/USDT"], ["SAME/USDT", "UP/USDT"]]);
});

test("a quote filters", () => {
  assert.deepEqual(names({}, ["BTC"])[0], ["UP/BTC"]);
});

test("a pair that hardly trades, or whose price is stale, is left out", () => {
  assert.deepEqual(names({ "TOP/USDT": { quote_volume_24h: "9999" } })[0], ["UP/USDT", "UP/BTC"]);
  assert.deepEqual(names({ "TOP/USDT": { age: 60_001 } })[0], ["UP/USDT", "UP/BTC"]);
});

test("a pause keeps the newest price of each symbol, and forgets what a snapshot replaces", () => {
  const held = new Held();
  held.add([price("binance", "A", "1"), price("binance", "B", "1")], false);
  held.add([price("binance", "A", "2")], false);
  const prices = () => {
    const taken = held.take();
    return [taken.isSnapshot, ...taken.prices.map((each) => `${each.symbol} ${each.price}`)];
  };
  assert.deepEqual(prices(), [false, "A 2", "B 1"]);
  held.add([price("binance", "A", "3")], false);
  held.add([price("binance", "B", "4")], true);
  assert.deepEqual(prices(), [true, "B 4"]);
  assert.deepEqual(prices(), [false]);
});
