import assert from "node:assert/strict";
import { test } from "node:test";
import { lastOf, parts } from "../../server/page/chart/lines.js";
import { wholeHour } from "../../server/page/model/batch_minutes.js";

const NOW = Date.parse("2026-11-27T12:00:30Z");

function batchMinute(minute) {
  return { minute, batches: 240, rows: 9000, dead_letters: 1, p50_ms: 20, p95_ms: 40 };
}

test("an hour has 60 minutes; those without a batch have counts of 0 and no times", () => {
  const first = batchMinute("2026-11-27T11:00:00.000000Z");
  const later = batchMinute("2026-11-27T11:09:00.000000Z");
  const minutes = wholeHour([first, later], NOW);
  assert.equal(minutes.length, 60);
  assert.equal(minutes[0], first);
  assert.equal(minutes[9], later);
  assert.deepEqual(minutes[59], {
    minute: "2026-11-27T11:59:00.000Z",
    batches: 0,
    rows: 0,
    dead_letters: 0,
    p50_ms: null,
    p95_ms: null,
  });
});

test("minutes that are not of the hour are left out", () => {
  const minutes = wholeHour([batchMinute("2026-11-27T10:59:00.000000Z")], NOW);
  assert.ok(minutes.every(({ batches }) => batches === 0));
});

test("a missing newest value is not replaced by an earlier one", () => {
  assert.equal(lastOf([1, null], String), "–");
  assert.equal(lastOf([null, 0], String), "0");
  assert.equal(lastOf([], String), "–");
});

test("a line has a gap where values are missing, and each value its place in the hour", () => {
  const values = [1, 1, null, 1, 1];
  assert.deepEqual(
    parts(values, 1).map((points) => points.split(" ").map((each) => each.split(",")[0])),
    [
      ["0.0", "75.0"],
      ["225.0", "300.0"],
    ],
  );
  assert.deepEqual(parts([null, 1, null], 1), ["150.0,1.0 150.0,1.0"]);
});
