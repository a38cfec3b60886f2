import assert from "node:assert/strict";
import { test } from "node:test";
import { linePoints } from "../../server/page/chart/sparkline.js";
import { age, bytes, moment, percent, points, rounded } from "../../server/page/format.js";
import { toCsv } from "../../server/page/model/csv.js";
import { amount, split } from "../../server/page/model/digits.js";

test("an amount keeps every digit, and only zeros are added to it", () => {
  assert.equal(amount("85440.000000000000000001"), "85,440.000000000000000001");
  assert.equal(amount("1234567.5", 2), "1,234,567.50");
  assert.equal(amount("0.00000001", 2), "0.00000001");
  assert.equal(amount("120", 2), "120.00");
  assert.equal(amount("120"), "120");
});

test("only the digits from the first difference on have changed", () => {
  assert.deepEqual(split("85,439.90", "85,441.10"), ["85,4", "41.10"]);
  assert.deepEqual(split("9.99", "10.00"), ["", "10.00"]);
  assert.deepEqual(split("", "1"), ["", "1"]);
  assert.deepEqual(split("1.5", "1.5"), ["1.5", ""]);
});

test("figures are short and have their sign", () => {
  assert.equal(percent(1.234), "+1.23 %");
  assert.equal(percent(-1.234), "−1.23 %");
  assert.equal(percent(-0.001), "0.00 %");
  assert.equal(points(1.234), "1.23");
  assert.equal(points(1234.5), "1,235");
  assert.equal(rounded(2_676_538_125), "2.68B");
  assert.equal(bytes(123_456_789), "118 MiB");
  assert.equal(bytes(0), "0 B");
});

test("ages are rounded down, and never negative", () => {
  assert.equal(age(-5000), "0 s");
  assert.equal(age(59_999), "59 s");
  assert.equal(age(60_000), "1 min");
  assert.equal(age(90_000_000), "1 d");
});

test("a moment of another day has its day", () => {
  const now = Date.parse("2026-11-27T12:00:00Z");
  assert.equal(moment("2026-11-27T07:37:28.501233Z", now, "utc"), "07:37:28");
  assert.equal(moment("2026-11-26T07:37:28.501233Z", now, "utc"), "26 Nov, 07:37:28");
});

test("a file quotes what needs it, and runs no formula", () => {
  assert.equal(
    toCsv([
      ["pair", "change"],
      ['A"B,C', "-1.5"],
      ["=1+1", "-x"],
    ]),
    'pair,change\r\n"A""B,C",-1.5\r\n\'=1+1,\'-x\r\n',
  );
});

test("a sparkline bridges hours without a close, and needs two closes", () => {
  assert.equal(linePoints([null, "1", null]), "");
  assert.equal(linePoints(["1", null, "2"]), "0.0,22.0 96.0,2.0");
  assert.equal(linePoints(["1", "1"]), "0.0,22.0 96.0,22.0");
});
