// The minutes of the live job's batches. Functions are pure.

const MINUTE = 60_000;
const MINUTES = 60;

/**
 * An item of `minutes` in /api/status, or a minute without a batch, which wholeHour adds: its times are null.
 * @typedef {object} BatchMinute
 * @property {string} minute
 * @property {number} batches
 * @property {number} rows
 * @property {number} dead_letters
 * @property {number | null} p50_ms
 * @property {number | null} p95_ms
 */

/**
 * Returns each of the 60 full minutes before `now`, oldest first. The server leaves out those without a batch, in which
 * the live job did nothing.
 * @param {BatchMinute[]} minutes @param {number} now in milliseconds
 * @returns {BatchMinute[]}
 */
export function wholeHour(minutes, now) {
  const known = new Map(minutes.map((each) => [Date.parse(each.minute), each]));
  const end = Math.floor(now / MINUTE) * MINUTE;
  return Array.from({ length: MINUTES }, (_, number) => {
    const start = end - (MINUTES - number) * MINUTE;
    const minute = new Date(start).toISOString();
    const none = { minute, batches: 0, rows: 0, dead_letters: 0, p50_ms: null, p95_ms: null };
    return known.get(start) ?? none;
  });
}
