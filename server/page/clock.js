// The server's time. Ages are computed with it: a browser's clock may be wrong by minutes.

/** Milliseconds by which the server's clock is ahead of the browser's. */
let ahead = 0;

/** Sets the clock to the time (ISO 8601) of a message that has just arrived. @param {string} text */
export function setClock(text) {
  ahead = Date.parse(text) - Date.now();
}

/** Returns the server's time in milliseconds since the epoch. */
export function now() {
  return Date.now() + ahead;
}
