// The server's time. Ages are computed with it: a browser's clock may be minutes wrong.

let ahead = 0;

/** Takes the time of a message that has just arrived, ISO 8601. @param {string} text */
export function setClock(text) {
  ahead = Date.parse(text) - Date.now();
}

/** Returns the server's time in milliseconds since the epoch. */
export function now() {
  return Date.now() + ahead;
}
