// A small line of hourly closes.

import { svg } from "../dom.js";

const WIDTH = 96;
const HEIGHT = 24;
const MARGIN = 2;

/** Returns an empty sparkline. It is decoration: the change is a column of its own. */
export function sparkline() {
  return svg(
    "svg",
    {
      class: "sparkline",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    svg("polyline", { points: "", "vector-effect": "non-scaling-stroke" }),
  );
}

/**
 * Returns the points of a line through the closes; hours without one are bridged.
 * @param {(string | null)[]} closes
 */
export function linePoints(closes) {
  const known = closes.flatMap((close, hour) =>
    close === null ? [] : [{ hour, y: Number(close) }],
  );
  if (known.length < 2) return "";
  const values = known.map(({ y }) => y);
  const lowest = Math.min(...values);
  const range = Math.max(...values) - lowest || 1;
  return known
    .map(({ hour, y }) => {
      const left = (WIDTH * hour) / (closes.length - 1);
      const top = HEIGHT - MARGIN - ((HEIGHT - 2 * MARGIN) * (y - lowest)) / range;
      return `${left.toFixed(1)},${top.toFixed(1)}`;
    })
    .join(" ");
}
