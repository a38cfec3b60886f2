import assert from "node:assert/strict";
import { test } from "node:test";
import { earlier, PAGE, readAll } from "../../server/page/chart/history.js";

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const NOW = Date.parse("2026-11-27T12:00:30Z");
const THIS_MINUTE = Date.parse("2026-11-27T12:00:00Z");

/**
 * Returns a function that reads candles as /api/candles does, of minutes at `times`. Its `requests` are what was asked.
 * `failing(number)` says whether the request of this number fails.
 */
function reader(times, failing = () => false) {
  const requests = [];
  const read = async (parameters) => {
    requests.push(parameters);
    if (failing(requests.length)) return null;
    const from = Date.parse(parameters.from);
    const to = parameters.to ? Date.parse(parameters.to) : NOW;
    const limit = Number(parameters.limit);
    const found = times.filter((time) => time >= from && time < to);
    return {
      candles: found.slice(0, limit).map((time) => ({ start: new Date(time).toISOString() })),
      next: found.length > limit ? new Date(found[limit]).toISOString() : null,
    };
  };
  return Object.assign(read, { requests });
}

function minutes(first, count) {
  return Array.from({ length: count }, (_, number) => first + number * MINUTE);
}

function timesOf(candles) {
  return candles.map(({ start }) => Date.parse(start));
}

test("the first page has the newest candles up to the running one", async () => {
  const times = minutes(THIS_MINUTE - 599 * MINUTE, 600);
  const found = await earlier([reader(times)], null, NOW, MINUTE);
  assert.deepEqual(timesOf(found.pages[0]), times.slice(-PAGE));
  assert.equal(found.from, times.at(-PAGE));
});

test("a failed request is no end: nothing is found, whichever request failed", async () => {
  const times = minutes(THIS_MINUTE - 100 * DAY, 10);
  for (const number of [1, 2, 3, 4, 5]) {
    const failing = reader(times, (request) => request === number);
    assert.equal(await earlier([failing], null, NOW, MINUTE), null);
  }
  const fine = reader(minutes(THIS_MINUTE, 1));
  assert.equal(await earlier([fine, reader([], () => true)], null, NOW, MINUTE), null);
});

for (const days of [1, 3, 30, 400]) {
  test(`candles before a gap of ${days} days are found, with few requests`, async () => {
    const times = minutes(THIS_MINUTE - days * DAY - 1200 * MINUTE, 1200);
    const read = reader(times);
    const found = await earlier([read], null, NOW, MINUTE);
    assert.ok(found.pages[0].length > 0);
    // Without a hole: up to the last one before the gap.
    assert.deepEqual(timesOf(found.pages[0]), times.slice(-found.pages[0].length));
    assert.ok(read.requests.length < 40, `${read.requests.length} requests`);

    let from = found.from;
    let count = found.pages[0].length;
    while (from !== null) {
      const page = await earlier([read], from, NOW, MINUTE);
      count += page.pages[0].length;
      from = page.from;
    }
    assert.equal(count, 1200);
  });
}

test("the newest of all series ends the gap, and every series is read there", async () => {
  const reads = [
    reader(minutes(THIS_MINUTE - 20 * DAY, 100)),
    reader(minutes(THIS_MINUTE - 10 * DAY, 100)),
  ];
  const counts = [];
  for (let from = null; counts.length === 0 || from !== null; ) {
    const found = await earlier(reads, from, NOW, MINUTE);
    counts.push(found.pages.map((page) => page.length));
    from = found.from;
  }
  assert.equal(counts[0][0], 0);
  assert.ok(counts[0][1] > 0);
  const sums = [0, 1].map((series) => counts.reduce((sum, page) => sum + page[series], 0));
  assert.deepEqual(sums, [100, 100]);
});

test("without an older candle the history is complete", async () => {
  const read = reader([THIS_MINUTE]);
  const found = await earlier([read], THIS_MINUTE, NOW, MINUTE);
  assert.deepEqual(found, { pages: [[]], from: null });
  assert.equal(read.requests.length, 2);
});

test("all pages of a span are read", async () => {
  const times = minutes(THIS_MINUTE - 2499 * MINUTE, 2500);
  const pages = [];
  const from = new Date(times[0]).toISOString();
  await readAll(reader(times), from, (page) => pages.push(...page));
  assert.deepEqual(timesOf(pages), times);
});

test("what was read before a failure is kept", async () => {
  const times = minutes(THIS_MINUTE - 2499 * MINUTE, 2500);
  const pages = [];
  const read = reader(times, (number) => number === 2);
  const from = new Date(times[0]).toISOString();
  await readAll(read, from, (page) => pages.push(...page));
  assert.equal(pages.length, 1000);
});
