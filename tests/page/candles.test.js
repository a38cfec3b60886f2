import assert from "node:assert/strict";
import { test } from "node:test";
import { bar, gapsOf, secondsOf, shadedTimes, withPrice } from "../../server/page/model/candles.js";

const FLAT = { time: 600, open: 5, high: 5, low: 5, close: 5 };

test("a candle of the API becomes a bar in seconds", () => {
  const candle = {
    start: "1970-01-01T00:10:00.000000Z",
    open: "1",
    high: "3",
    low: "0.5",
    close: "2",
  };
  assert.deepEqual(bar(candle), { time: 600, open: 1, high: 3, low: 0.5, close: 2 });
  assert.deepEqual(["1m", "15m", "4h", "1d"].map(secondsOf), [60, 900, 14_400, 86_400]);
});

test("a price moves the running bar, and begins the next one", () => {
  assert.deepEqual(withPrice(FLAT, 7, 659_000, 60), { ...FLAT, high: 7, close: 7 });
  assert.deepEqual(withPrice(FLAT, 4, 659_000, 60), { ...FLAT, low: 4, close: 4 });
  const next = { time: 660, open: 4, high: 4, low: 4, close: 4 };
  assert.deepEqual(withPrice(FLAT, 4, 660_000, 60), next);
  assert.deepEqual(withPrice(undefined, 4, 660_000, 60), next);
});

test("a late price moves no bar", () => {
  assert.equal(withPrice(FLAT, 4, 599_000, 60), null);
});

test("a candle is shaded if an interruption covers at least a tenth of it", () => {
  assert.deepEqual(shadedTimes([{ from: 655_000, to: 785_000 }], 600, 840, 60), [660, 720]);
  assert.deepEqual(shadedTimes([{ from: 654_000, to: 726_000 }], 600, 840, 60), [600, 660, 720]);
  assert.deepEqual(shadedTimes([{ from: 0, to: 10_000 }], 0, 0, 86_400), []);
});

test("an interruption whose end was not reported lasts until the next one begins, the newest until now", () => {
  const at = (seconds) => new Date(1000 * seconds).toISOString();
  const ended = { from: at(20), to: at(30) };
  assert.deepEqual(gapsOf([ended, { from: at(10), to: null }], 90_000), [
    { from: 10_000, to: 20_000 },
    { from: 20_000, to: 30_000 },
  ]);
  assert.deepEqual(gapsOf([{ from: at(40), to: null }, ended], 90_000), [
    { from: 20_000, to: 30_000 },
    { from: 40_000, to: 90_000 },
  ]);
});

test("the part of an interruption before the first candle is left out", () => {
  assert.deepEqual(shadedTimes([{ from: 0, to: 660_000 }], 600, 840, 60), [600]);
});
