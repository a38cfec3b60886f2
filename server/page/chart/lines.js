// A small line chart in SVG: one value a minute, with the newest value and the scale as text.

import { element, svg } from "../dom.js";
import { MISSING } from "../format.js";

const WIDTH = 300;
const HEIGHT = 72;

/** @typedef {{ label: string, values: (number | null)[] }} Line */

/**
 * Returns a figure with the lines over one scale that begins at zero. A missing value leaves a gap.
 * @param {string} caption @param {Line[]} lines @param {(value: number) => string} shown
 */
export function lineChart(caption, lines, shown) {
  const highest = Math.max(0, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const newest = lines.map(
    ({ label, values }) => `${label ? `${label} ` : ""}${lastOf(values, shown)}`,
  );
  return element(
    "figure",
    { class: "line-chart" },
    element("figcaption", {}, caption, element("strong", {}, newest.join(" · "))),
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      ...[0.5, 1].map((share) =>
        svg("line", {
          class: "grid",
          x1: 0,
          x2: WIDTH,
          y1: HEIGHT * (1 - share) + 0.5,
          y2: HEIGHT * (1 - share) + 0.5,
        }),
      ),
      ...lines.flatMap(({ values }, number) =>
        parts(values, highest || 1).map((points) =>
          svg("polyline", {
            class: `line-${number + 1}`,
            points,
            "stroke-linecap": "round",
            "vector-effect": "non-scaling-stroke",
          }),
        ),
      ),
    ),
    element("p", { class: "scale" }, `0 to ${shown(highest)}`),
  );
}

/**
 * Returns the last value as text. A missing one stays missing: an earlier value would look like the current one.
 * @param {(number | null)[]} values @param {(value: number) => string} shown
 */
export function lastOf(values, shown) {
  const last = values.at(-1) ?? null;
  return last === null ? MISSING : shown(last);
}

/** Returns the points of each unbroken part of a line. @param {(number | null)[]} values @param {number} highest */
export function parts(values, highest) {
  /** @type {string[][]} */
  const found = [[]];
  for (const [number, value] of values.entries()) {
    if (value === null) {
      found.push([]);
      continue;
    }
    const left = (WIDTH * number) / Math.max(1, values.length - 1);
    const top = HEIGHT - 1 - ((HEIGHT - 2) * value) / highest;
    found[found.length - 1].push(`${left.toFixed(1)},${top.toFixed(1)}`);
  }
  // A single value is a point, which its round ends make visible.
  return found
    .filter((points) => points.length > 0)
    .map((points) => (points.length === 1 ? [...points, ...points] : points).join(" "));
}
