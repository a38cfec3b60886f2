// The WebSocket: a snapshot, then changes without a gap. Lost, or silent for too long, it is opened
// again and goes on where it was.

const FIRST_DELAY = 500;
const LONGEST_DELAY = 10_000;

// The server says something at least every six seconds.
const SILENCE_LIMIT = 15_000;

/**
 * Calls `snapshot(prices)` and `changes(prices)` with lists of prices as /api/prices describes
 * them, and `state("connecting" | "live" | "reconnecting" | "away", since)`: away is Postgres,
 * since a time in ISO 8601. `unreadable(exchanges)` is called with those of which most can't be
 * read, and with none when a connection is lost: the next one says it again.
 */
export function follow({ snapshot, changes, unreadable, state }) {
  const address = new URL("ws", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  let delay = FIRST_DELAY;
  let id = null;

  function connect() {
    if (id !== null) address.searchParams.set("since", id);
    const socket = new WebSocket(address);
    let silence = setTimeout(lost, SILENCE_LIMIT);
    socket.addEventListener("message", heard);
    socket.addEventListener("close", lost);

    function heard({ data }) {
      clearTimeout(silence);
      silence = setTimeout(lost, SILENCE_LIMIT);
      const message = JSON.parse(data);
      if (message.type === "snapshot") {
        snapshot(message.prices);
      } else if (message.id !== null && message.previous !== id) {
        // One was missed: what is known is of no use.
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

    function lost() {
      clearTimeout(silence);
      socket.removeEventListener("message", heard);
      socket.removeEventListener("close", lost);
      // Without waiting for the other side, which may have vanished.
      socket.close();
      unreadable([]);
      state("reconnecting");
      // Not all pages at once when a server comes back.
      setTimeout(connect, delay * (0.5 + Math.random() / 2));
      delay = Math.min(2 * delay, LONGEST_DELAY);
    }
  }

  state("connecting");
  connect();
}
