import assert from "node:assert/strict";
import { test } from "node:test";

const NAME = "live-crypto-prices";
const storage = new Map();

/** Stores as another tab does. */
function elsewhere(choices) {
  storage.set(NAME, JSON.stringify(choices));
}

function stored() {
  return JSON.parse(storage.get(NAME));
}

Object.defineProperty(globalThis, "localStorage", {
  configurable: true,
  value: {
    getItem: (name) => storage.get(name) ?? null,
    setItem: (name, text) => storage.set(name, text),
  },
});
const { choose, onChoice, prefer, preferences } = await import("../../server/page/preferences.js");

test("a choice keeps what another tab has stored since", () => {
  elsewhere({ favourites: ["BTC/USDT"], hidden: ["bid"], theme: "dark" });
  choose("favourites", "ETH/USDT", true);
  prefer({ density: "compact" });
  choose("hidden", "bid", false);
  assert.deepEqual(stored(), {
    favourites: ["BTC/USDT", "ETH/USDT"],
    hidden: [],
    density: "compact",
    theme: "dark",
    zone: "local",
  });
  assert.deepEqual(preferences, stored());
});

test("an item is in its list once, and an empty one is ignored", () => {
  elsewhere({ favourites: ["BTC/USDT"] });
  choose("favourites", "BTC/USDT", true);
  assert.deepEqual(preferences.favourites, ["BTC/USDT"]);
  choose("favourites", "ETH/USDT", false);
  assert.deepEqual(preferences.favourites, ["BTC/USDT"]);
  choose("favourites", "", true);
  assert.deepEqual(stored().favourites, ["BTC/USDT"]);
});

test("each choice is reported", () => {
  let calls = 0;
  onChoice(() => {
    calls += 1;
  });
  prefer({ zone: "utc" });
  choose("favourites", "ETH/USDT", true);
  assert.equal(calls, 2);
});

test("without storage, choices last until the page is closed", () => {
  Object.defineProperty(globalThis, "localStorage", {
    get() {
      throw new Error("forbidden");
    },
  });
  prefer({ zone: "local" });
  choose("favourites", "XRP/USDT", true);
  assert.equal(preferences.zone, "local");
  assert.ok(preferences.favourites.includes("XRP/USDT"));
});
