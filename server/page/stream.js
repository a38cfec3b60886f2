// The WebSocket: a snapshot, then changes without a gap. If the connection is lost or silent for too
// long, it is opened again and resumes after the last message.

import { setClock } from "./clock.js";

/** @import { Price } from "./types.js" */

const FIRST_DELAY = 500;
const LONGEST_DELAY = 10_000;

// The server sends a message at least every six seconds. On a slow link a large one takes minutes, and is seen
// only when all of it has arrived.
const SILENCE_LIMIT = 15_000;
const LONGEST_SILENCE = 240_000;

// What the table shows. All fields would take two to three times as many bytes. Base, quote and status
// come from /api/instruments.
const FIELDS = ["price", "bid", "ask", "open_24h", "quote_volume_24h", "traded_at", "received_at"];

/**
 * Returns the time limit for the next message (ms): twice the last wait, whether or not a message ended it, but at
 * least SILENCE_LIMIT and at most LONGEST_SILENCE. After a slow message the next one may be slow too, because it has
 * everything that changed meanwhile.
 * @param {number} waited
 */
export function nextLimit(waited) {
  return Math.min(Math.max(2 * waited, SILENCE_LIMIT), LONGEST_SILENCE);
}

/**
 * Calls `snapshot(prices)` and `changes(prices)` with prices in the format of /api/prices, and
 * `state("connecting" | "live" | "reconnecting" | "offline" | "away", since)`. "offline" means that the
 * browser has no network, "away" that Postgres has been unavailable since `since` (ISO 8601). Calls
 * `unreadable(exchanges)` with the exchanges of which most items can't be read. When a connection is lost, the
 * list is empty: the next connection reports them again. `reconnect()` of the result connects without a delay.
 * @param {{
 *   snapshot: (prices: Price[]) => void,
 *   changes: (prices: Price[]) => void,
 *   unreadable: (exchanges: { exchange: string, share: number, cause: string }[]) => void,
 *   state: (name: string, since?: string) => void,
 * }} receiver
 */
export function follow({ snapshot, changes, unreadable, state }) {
  const address = new URL("ws", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.searchParams.set("fields", FIELDS.join(","));
  let delay = FIRST_DELAY;
  /** @type {string | null} */
  let id = null;
  /** @type {WebSocket} */
  let socket;
  let limit = SILENCE_LIMIT;
  let waitingSince = 0;
  let silence = 0;
  let retry = 0;

  function connect() {
    clearTimeout(retry);
    if (id !== null) address.searchParams.set("since", id);
    socket = new WebSocket(address);
    wait();
    socket.addEventListener("message", received);
    socket.addEventListener("close", lost);
  }

  /** @param {MessageEvent} event */
  function received({ data }) {
    // A frozen tab gets its messages late.
    limit = nextLimit(Math.min(performance.now() - waitingSince, limit));
    wait();
    const message = JSON.parse(data);
    setClock(message.time);
    if (message.type === "snapshot") {
      snapshot(message.prices);
    } else if (message.id !== null && message.previous !== id) {
      // A message was missed: start again with a snapshot.
      id = null;
      address.searchParams.delete("since");
      lost();
      return;
    } else if (message.type === "changes") {
      changes(message.prices);
    } else if (message.type === "unreadable") {
      unreadable(message.exchanges);
    }
    id = message.id ?? id;
    delay = FIRST_DELAY;
    if (message.postgres === "away") state("away", message.since);
    else state("live");
  }

  function wait() {
    clearTimeout(silence);
    waitingSince = performance.now();
    silence = setTimeout(silent, limit);
  }

  function silent() {
    // Before it is open, nothing large is under way: the server can't be reached.
    if (socket.readyState === WebSocket.OPEN) limit = nextLimit(limit);
    lost();
  }

  function drop() {
    clearTimeout(silence);
    clearTimeout(retry);
    socket.removeEventListener("message", received);
    socket.removeEventListener("close", lost);
    // Without waiting for the close to complete: the server may be gone.
    socket.close();
    unreadable([]);
  }

  function lost() {
    drop();
    state(navigator.onLine ? "reconnecting" : "offline");
    // Random delay, so that not all pages reconnect to a restarted server at once.
    retry = setTimeout(connect, delay * (0.5 + Math.random() / 2));
    delay = Math.min(2 * delay, LONGEST_DELAY);
  }

  function reconnect() {
    drop();
    delay = FIRST_DELAY;
    state("reconnecting");
    connect();
  }

  state("connecting");
  connect();
  // Without a network the connection would stay open in silence.
  addEventListener("offline", lost);
  addEventListener("online", reconnect);
  return { reconnect };
}
