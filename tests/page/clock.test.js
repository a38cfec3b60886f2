import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { now, setClock } from "../../server/page/clock.js";

const START = Date.parse("2026-11-27T12:00:00Z");
const SECOND = 1000;
const MINUTE = 60 * SECOND;

mock.timers.enable({ apis: ["Date"] });

/** Calls setClock with a message that was built at `built` and arrives when the browser's clock reads `arrival`. */
function arrive(built, arrival) {
  mock.timers.setTime(arrival);
  setClock(new Date(built).toISOString());
}

test("a delayed message does not set the clock back", () => {
  arrive(START + 10 * MINUTE, START);
  arrive(START + 10 * MINUTE, START + 20 * SECOND);
  assert.equal(now(), START + 10 * MINUTE + 20 * SECOND);
  mock.timers.setTime(START + 25 * SECOND);
  assert.equal(now(), START + 10 * MINUTE + 25 * SECOND);
});

test("a more prompt message sets the clock forward", () => {
  const start = START + 60 * MINUTE;
  arrive(start - 20 * SECOND, start);
  arrive(start + SECOND, start + SECOND);
  assert.equal(now(), start + SECOND);
});

test("a browser's clock that is set forward is followed within minutes", () => {
  const start = START + 120 * MINUTE;
  arrive(start, start);
  for (let passed = 0; passed <= 5 * MINUTE; passed += 30 * SECOND) {
    arrive(start + passed, start + passed + 2 * MINUTE);
  }
  assert.equal(now(), start + 5 * MINUTE);
});

test("a browser's clock that is set back is followed at once", () => {
  const start = START + 180 * MINUTE;
  arrive(start, start);
  arrive(start + SECOND, start - 60 * MINUTE);
  assert.equal(now(), start + SECOND);
});

test("a time that can't be read is ignored", () => {
  const start = START + 240 * MINUTE;
  arrive(start, start);
  setClock("yesterday");
  assert.equal(now(), start);
});
