// The times of a chart, at its axis and under the pointer. Functions are pure.

import { clockTime, day, minute } from "../format.js";

/** @import { Zone } from "../format.js" */

/**
 * Returns the formatters of an interval; they get seconds since the epoch. A day's candle begins at midnight UTC, so it
 * has the name of the UTC day in every zone: west of UTC, the local day of that moment is the one before.
 * @param {string} interval @param {Zone} zone
 */
export function timeFormats(interval, zone) {
  const isDay = interval.endsWith("d");
  const dayOf = (/** @type {number} */ seconds) => day(1000 * seconds, isDay ? "utc" : zone);
  return {
    /** Label of the axis. @param {number} seconds @param {boolean} isDate whether the label is to name a day */
    axis: (seconds, isDate) => (isDay || isDate ? dayOf(seconds) : minute(1000 * seconds, zone)),
    /** Label under the pointer. @param {number} seconds */
    pointer: (seconds) =>
      isDay ? dayOf(seconds) : `${dayOf(seconds)}, ${clockTime(1000 * seconds, zone)}`,
  };
}
