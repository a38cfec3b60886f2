import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { follow, nextLimit } from "../../server/page/stream.js";

const SECOND = 1000;

test("the time limit for a message is twice the last wait, within bounds", () => {
  assert.equal(nextLimit(0), 15 * SECOND);
  assert.equal(nextLimit(15 * SECOND), 30 * SECOND);
  assert.equal(nextLimit(240 * SECOND), 240 * SECOND);
});

/**
 * Follows a server that sends nothing, and returns the seconds between the attempts to connect.
 * @param {number} readyState of each connection
 */
function attempts(readyState) {
  /** @type {number[]} */
  const at = [];
  class Silent extends EventTarget {
    static OPEN = 1;
    readyState = readyState;
    constructor() {
      super();
      at.push(Date.now() / SECOND);
    }
    close() {}
  }
  Object.assign(globalThis, { location: new URL("http://127.0.0.1/"), WebSocket: Silent });
  Object.assign(globalThis, { addEventListener() {} });
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  // The shortest pause before each attempt: half of 0.5, 1, 2 and 4 s.
  const random = mock.method(Math, "random", () => 0);
  follow({ snapshot() {}, changes() {}, unreadable() {}, state() {} });
  for (let passed = 0; passed < 120 * SECOND; passed += SECOND / 4) mock.timers.tick(SECOND / 4);
  mock.timers.reset();
  random.mock.restore();
  return at.slice(1).map((time, index) => time - at[index]);
}

test("a connection that brings no message is waited for twice as long the next time", () => {
  assert.deepEqual(attempts(1), [15.25, 30.5, 61]);
});

test("the time limit does not grow while the server can't be reached", () => {
  assert.deepEqual(attempts(0).slice(0, 4), [15.25, 15.5, 16, 17]);
});
