import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "../../server/page/model/address.js";
import { columnsOf, fitting } from "../../server/page/model/columns.js";
import { chosen, inOrderOf, quotesOf, quotesWithChip } from "../../server/page/model/order.js";
import { relevance, words } from "../../server/page/model/search.js";
import { market, marketOf, NOW, price } from "./pairs.js";

const EXCHANGES = [
  { name: "binance", title: "Binance" },
  { name: "kucoin", title: "KuCoin" },
];
const VOLUMES = { "BTC/USDT": "900", "ETH/USDT": "800", "ETH/BTC": "1", "WBTC/USDT": "700" };

/** Returns the names of the pairs that a hash shows. */
function shown(hash, { pairs }, favourites = new Set()) {
  const place = parse(hash);
  const names = EXCHANGES.map(({ name }) => name);
  const exchanges = place.exchanges.length ? place.exchanges : names;
  const rates = new Map([
    ["USDT", 1],
    ["BTC", 500],
  ]);
  const context = { exchanges, rates, now: NOW };
  return chosen(pairs.values(), place, columnsOf(EXCHANGES), context, favourites).map(
    ({ key }) => key,
  );
}

const volumes = marketOf(Object.keys(VOLUMES), (name) => ({ quote_volume_24h: VOLUMES[name] }));

test("the largest volume in USDT is first", () => {
  assert.deepEqual(shown("#/", volumes), ["BTC/USDT", "ETH/USDT", "WBTC/USDT", "ETH/BTC"]);
});

test("a search lists the matches of the base first, then by volume", () => {
  assert.deepEqual(shown("#/?q=btc", volumes), ["BTC/USDT", "WBTC/USDT", "ETH/BTC"]);
});

test("a search keeps the order that was chosen", () => {
  assert.deepEqual(shown("#/?q=btc&sort=volume", volumes), ["ETH/BTC", "WBTC/USDT", "BTC/USDT"]);
});

for (const text of ["btc_usdt", "BTC:USDT", "btc usdt", "usdt btc", "BTC/USDT", "btcusdt"]) {
  test(`"${text}" finds BTC/USDT first`, () => {
    assert.equal(shown(`#/?q=${encodeURIComponent(text)}`, volumes)[0], "BTC/USDT");
  });
}

test("a star ends a word", () => {
  assert.deepEqual(words("btc*"), ["BTC"]);
  assert.deepEqual(words(" , "), []);
});

test("the exchange's own symbol finds a pair of another name", () => {
  const { pairs } = market([price("kucoin", "BCHSV-USDT", "1")], {
    "kucoin BCHSV-USDT": "BSV/USDT",
  });
  assert.equal(relevance(pairs.get("BSV/USDT"), words("bchsv-usdt")), 3);
  assert.equal(relevance(pairs.get("BSV/USDT"), words("bsv")), 0);
  assert.equal(relevance(pairs.get("BSV/USDT"), words("btc")), null);
});

test("names of every script are found", () => {
  assert.deepEqual(shown("#/?q=币安", marketOf(["币安人生/USDT", "A/USDT"])), ["币安人生/USDT"]);
});

test("quotes, favourites and exchanges filter", () => {
  assert.deepEqual(shown("#/?quote=BTC", volumes), ["ETH/BTC"]);
  assert.deepEqual(shown("#/?quote=BTC,USDT", volumes).length, 4);
  assert.deepEqual(shown("#/?favourites=1", volumes, new Set(["ETH/BTC"])), ["ETH/BTC"]);
  assert.deepEqual(shown("#/?exchange=kucoin", volumes), []);
});

test("pairs without a value are last in both directions", () => {
  const opens = { "A/USDT": "2", "B/USDT": "0.5", "C/USDT": null };
  const created = marketOf(Object.keys(opens), (name) => ({
    open_24h: opens[name],
    quote_volume_24h: "1",
  }));
  assert.deepEqual(shown("#/?sort=-change", created), ["B/USDT", "A/USDT", "C/USDT"]);
  assert.deepEqual(shown("#/?sort=change", created), ["A/USDT", "B/USDT", "C/USDT"]);
});

test("names sort by text", () => {
  assert.deepEqual(shown("#/?sort=pair", volumes)[0], "BTC/USDT");
  assert.deepEqual(shown("#/?sort=-pair", volumes)[0], "WBTC/USDT");
});

test("an unknown column sorts by the first one", () => {
  assert.deepEqual(shown("#/?sort=nonsense", volumes), shown("#/?sort=pair", volumes));
});

test("pairs keep the order of earlier ones, and new ones follow", () => {
  const pairs = ["A", "B", "C", "D", "E"].map((key) => ({ key }));
  const earlier = ["D", "gone", "B", "A"].map((key) => ({ key }));
  const arranged = inOrderOf(pairs, earlier);
  assert.deepEqual(
    arranged.map(({ key }) => key),
    ["D", "B", "A", "C", "E"],
  );
  assert.equal(arranged[0], pairs[3]);
  assert.deepEqual(inOrderOf(pairs, []), pairs);
});

test("quotes are listed by the number of their pairs", () => {
  assert.deepEqual(quotesOf(volumes.pairs.values()), ["USDT", "BTC"]);
});

test("a chosen quote has exactly one chip, even if it is rare or unknown", () => {
  const quotes = ["USDT", "BTC", "EUR", "ZAR"];
  assert.deepEqual(quotesWithChip(quotes, [], 2), ["USDT", "BTC"]);
  assert.deepEqual(quotesWithChip(quotes, ["BTC"], 2), ["USDT", "BTC"]);
  assert.deepEqual(quotesWithChip(quotes, ["ZAR", "?"], 2), ["USDT", "BTC", "ZAR", "?"]);
  assert.deepEqual(quotesWithChip([], ["USDT"]), ["USDT"]);
});

test("each exchange has its own columns", () => {
  const ids = columnsOf([...EXCHANGES, { name: "kraken", title: "Kraken" }]).map(({ id }) => id);
  for (const id of ["price:binance", "price:kucoin", "price:kraken", "age:kraken"]) {
    assert.ok(ids.includes(id), id);
  }
});

test("a narrow table keeps the pair, the prices and the change", () => {
  const ids = fitting(columnsOf(EXCHANGES), 430).map(({ id }) => id);
  assert.deepEqual(ids, ["pair", "price:binance", "price:kucoin", "change"]);
  assert.equal(fitting(columnsOf(EXCHANGES), 5000).length, columnsOf(EXCHANGES).length);
});
