// The server's time. Ages are computed with it: a browser's clock may be wrong by minutes.

/** Milliseconds for which a message counts. After the browser's clock was set, `now` is right again within this time. */
const WINDOW = 5 * 60_000;

/**
 * By how many milliseconds the server's clock was ahead of the browser's at a message's arrival. Each of them is larger
 * than all later ones.
 * @type {{ arrival: number, ahead: number }[]}
 */
let samples = [];

/**
 * Sets the clock by a message that has just arrived and was built at `text`, ISO 8601 or the Date of an HTTP response.
 * The time that a message was under way is unknown, and can only make the server's clock seem to be behind. So the most
 * prompt message of the last minutes counts: prices that a slow link delivers late must not look fresh.
 * @param {string} text
 */
export function setClock(text) {
  const arrival = Date.now();
  const ahead = Date.parse(text) - arrival;
  if (Number.isNaN(ahead)) return;
  samples = samples.filter(
    (each) => each.ahead > ahead && Math.abs(arrival - each.arrival) < WINDOW,
  );
  samples.push({ arrival, ahead });
}

/** Returns the server's time in milliseconds since the epoch. */
export function now() {
  return Date.now() + (samples[0]?.ahead ?? 0);
}
