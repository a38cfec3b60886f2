import assert from "node:assert/strict";
import { test } from "node:test";
import { format, parse } from "../../server/page/model/address.js";

for (const hash of [
  "#/",
  "#/?quote=USDT&sort=-change",
  "#/?q=btc%20usdt&exchange=kucoin&quote=USDT,BTC&favourites=1&sort=pair",
  "#/compare?quote=BTC",
  "#/movers",
  "#/status",
  "#/pair/BTC/USDT",
  "#/pair/BTC/USDT?sort=-change&interval=1h&candles=kucoin",
  "#/pair/NEWUSDT",
  "#/pair/A%2FB%3F/%E5%B8%81",
]) {
  test(`${hash} is unchanged after parse and format`, () => {
    assert.equal(format(parse(hash)), hash);
  });
}

test("no hash is the markets by volume", () => {
  const place = parse("");
  assert.equal(place.view, "markets");
  assert.equal(place.sort, "-volume");
  assert.equal(place.interval, "15m");
});

test("unknown views and intervals are ignored, an invalid escape is kept as text", () => {
  assert.equal(parse("#/nonsense").view, "markets");
  assert.equal(parse("#/pair").view, "markets");
  assert.equal(parse("#/?interval=7m").interval, "15m");
  assert.equal(parse("#/pair/100%").base, "100%");
});
