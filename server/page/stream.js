// The WebSocket: a snapshot, then changes without a gap; connected again whenever it is lost.

const FIRST_DELAY = 500;
const LONGEST_DELAY = 10_000;

/**
 * Calls `snapshot(prices)` and `changes(prices)` with lists of prices as /api/prices describes
 * them, and `state("connecting" | "live" | "reconnecting")`.
 */
export function follow({ snapshot, changes, state }) {
  const address = new URL("ws", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  let delay = FIRST_DELAY;

  function connect() {
    const socket = new WebSocket(address);
    let id = null;

    socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "snapshot") {
        snapshot(message.prices);
        state("live");
        delay = FIRST_DELAY;
      } else if (message.previous === id) {
        changes(message.prices);
      } else {
        // One was missed. A new connection starts with a snapshot.
        socket.close();
        return;
      }
      id = message.id;
    });

    socket.addEventListener("close", () => {
      state("reconnecting");
      // Not all pages at once when a server comes back.
      setTimeout(connect, delay * (0.5 + Math.random() / 2));
      delay = Math.min(2 * delay, LONGEST_DELAY);
    });
  }

  state("connecting");
  connect();
}
