import assert from "node:assert/strict";
import { test } from "node:test";
import { Series } from "../../server/page/chart/series.js";
import { timeFormats } from "../../server/page/chart/times.js";

// West of UTC; the formats of the page have no time zone of their own if they show local time.
process.env.TZ = "America/New_York";

const MIDNIGHT = Date.parse("2026-11-27T00:00:00Z") / 1000;

test("a daily candle has the same day at the axis and under the pointer, in every zone", () => {
  assert.equal(new Date(1000 * MIDNIGHT).getDate(), 26);
  for (const zone of ["local", "utc"]) {
    const { axis, pointer } = timeFormats("1d", zone);
    assert.equal(axis(MIDNIGHT, true), "27 Nov");
    assert.equal(pointer(MIDNIGHT), "27 Nov");
  }
});

test("shorter candles have the times of the chosen zone", () => {
  const local = timeFormats("4h", "local");
  assert.equal(local.axis(MIDNIGHT, true), "26 Nov");
  assert.equal(local.axis(MIDNIGHT, false), "19:00");
  assert.equal(local.pointer(MIDNIGHT), "26 Nov, 19:00:00");
  assert.equal(timeFormats("4h", "utc").pointer(MIDNIGHT), "27 Nov, 00:00:00");
});

/** Returns a series of minutes that reads `candles`, and the `from` of each request. */
function series(candles) {
  const asked = [];
  globalThis.document = { baseURI: "http://page/" };
  globalThis.fetch = async (address) => {
    const from = new URL(address).searchParams.get("from");
    asked.push(from);
    return Response.json({ candles: candles.filter(({ start }) => start >= from), next: null });
  };
  const side = { exchange: "binance", symbol: "BTCUSDT" };
  return { shown: new Series(side, "1m", { setData() {}, update() {} }), asked };
}

function candle(minutes, close, closed) {
  const start = new Date(1000 * (MIDNIGHT + 60 * minutes)).toISOString();
  return { start, open: "1", high: "9", low: "1", close, source: "updates", closed };
}

/** A live price at a minute. */
function side(minutes, price) {
  return { price: { price }, receivedAt: 1000 * (MIDNIGHT + 60 * minutes) };
}

test("after a time without prices, all candles since the last closed one are read", async () => {
  const start = candle(0, "1", true).start;
  const { shown, asked } = series([0, 1, 2, 3, 4].map((each) => candle(each, "5", each < 4)));
  shown.merge([candle(0, "1", true), candle(1, "1", false)]);
  shown.live(side(1, "2"), 60);
  // Minutes 2 and 3 pass without a price, as in a hidden tab.
  shown.live(side(4, "6"), 60);
  await shown.refresh("2026-11-01T00:00:00Z", () => true);
  assert.deepEqual(
    shown.bars.map(({ time, high, close }) => [(time - MIDNIGHT) / 60, high, close]),
    [0, 1, 2, 3, 4].map((minute) => [minute, 9, 5]),
  );
  await shown.refresh("2026-11-01T00:00:00Z", () => true);
  assert.deepEqual(asked, [start, candle(3, "5", true).start]);
});

test("without a closed candle, the page that was read first is read again", async () => {
  const { shown, asked } = series([]);
  await shown.refresh(candle(0, "1", true).start, () => true);
  assert.deepEqual(asked, [candle(0, "1", true).start]);
});

test("an answer for a chart that was closed is discarded", async () => {
  const { shown, asked } = series([candle(0, "1", true)]);
  await shown.refresh(candle(0, "1", true).start, () => asked.length === 0);
  assert.equal(asked.length, 1);
  assert.deepEqual(shown.bars, []);
});
