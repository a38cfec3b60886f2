// Format values of the server for display. Functions are pure.

/** Text of a figure without a value. */
export const MISSING = "–";

const compact = new Intl.NumberFormat("en", {
  notation: "compact",
  minimumSignificantDigits: 3,
  maximumSignificantDigits: 3,
});
const whole = new Intl.NumberFormat("en");

/** 2676538125.4 → "2.68B". @param {number} number */
export function rounded(number) {
  return compact.format(number);
}

/** 1512 → "1,512". @param {number} number */
export function count(number) {
  return whole.format(number);
}

/** 1.234 → "+1.23 %". @param {number} number */
export function percent(number) {
  const digits = Math.abs(number).toFixed(2);
  const sign = digits === "0.00" ? "" : number > 0 ? "+" : "−";
  return `${sign}${digits} %`;
}

/** 12.345 → "12.3", 1.234 → "1.23", 1234.5 → "1,235". @param {number} number */
export function points(number) {
  if (number < 10) return number.toFixed(2);
  return number < 100 ? number.toFixed(1) : whole.format(Math.round(number));
}

/** 1 → "up", -1 → "down". @param {number} difference */
export function direction(difference) {
  return difference > 0 ? "up" : difference < 0 ? "down" : "none";
}

/** 123456789 → "118 MiB". @param {number} number */
export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, number)) / 10));
  const value = number / 1024 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

/** Milliseconds → "12 s", "5 min", "3 h", "2 d"; never negative, even if this clock is behind. @param {number} milliseconds */
export function age(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** @typedef {"local" | "utc"} Zone */

/** "2025-03-28T07:37:28.501233Z" → "07:37:28", or the browser's local time. @param {string | number} time @param {Zone} zone */
export function clockTime(time, zone) {
  return new Date(time).toLocaleTimeString("en-GB", zoned(zone));
}

/** The same without seconds: "07:37". @param {string | number} time @param {Zone} zone */
export function minute(time, zone) {
  return new Date(time).toLocaleTimeString("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    ...zoned(zone),
  });
}

/** "28 Mar". @param {string | number} time @param {Zone} zone */
export function day(time, zone) {
  return new Date(time).toLocaleDateString("en-GB", {
    day: "numeric",
    month: "short",
    ...zoned(zone),
  });
}

/**
 * "08:37:28" on the day of `now`, otherwise "28 Mar, 08:37:28".
 * @param {string} time @param {number} now in milliseconds since the epoch @param {Zone} zone
 */
export function moment(time, now, zone) {
  const clock = clockTime(time, zone);
  return day(time, zone) === day(now, zone) ? clock : `${day(time, zone)}, ${clock}`;
}

/** @param {Zone} zone */
function zoned(zone) {
  return zone === "utc" ? { timeZone: "UTC" } : {};
}
