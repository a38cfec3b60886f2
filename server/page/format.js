// Format values of the server for display. Functions are pure. A missing amount becomes a dash.

const MISSING = "–";
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** "85439.99" → "85,439.99". Keeps every digit: the text is never parsed as a float. */
export function amount(text) {
  if (text === null) return MISSING;
  const [integer, ...fraction] = text.split(".");
  return [integer.replace(/\B(?=(\d{3})+$)/g, ","), ...fraction].join(".");
}

/** "2676538125.4912" → "2.7B" */
export function rounded(text) {
  return text === null ? MISSING : compact.format(Number(text));
}

/** Returns the change from the opening price in percent, or null without one. */
export function change(price) {
  const open = Number(price.open_24h);
  return open > 0 ? (100 * (Number(price.price) - open)) / open : null;
}

/** 1.234 → "+1.23 %" */
export function percent(number) {
  if (number === null) return MISSING;
  const digits = Math.abs(number).toFixed(2);
  const sign = digits === "0.00" ? "" : number > 0 ? "+" : "−";
  return `${sign}${digits} %`;
}

/** Milliseconds → "12 s", "5 min", "3 h", "2 d"; never negative, even if this clock is behind. */
export function age(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/**
 * "2025-03-28T07:37:28.501233Z" → "08:37:28" for a browser in UTC+1; with the day before it, "28 March,
 * 08:37:28", if it is not the day of `now`, in milliseconds since the epoch.
 */
export function moment(text, now) {
  const date = new Date(text);
  const time = date.toLocaleTimeString("en-GB");
  if (date.toDateString() === new Date(now).toDateString()) return time;
  return `${date.toLocaleDateString("en-GB", { day: "numeric", month: "long" })}, ${time}`;
}
