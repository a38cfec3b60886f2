// The last 24 hours of a feed as a bar: interruptions are marked where they were.

import { element, svg } from "../dom.js";

const WIDTH = 1000;
const HEIGHT = 20;
const DAY = 86_400_000;
/** Minimum width of a mark, so that an interruption of seconds is visible too. */
const LEAST = 2;

/** @typedef {{ from: string, to: string | null, reason: string | null, filled?: boolean | null }} Interruption */

/** @param {Interruption[]} interruptions @param {number} now in milliseconds @param {(time: number) => string} shown formats a time */
export function timeline(interruptions, now, shown) {
  const start = now - DAY;
  const left = (/** @type {number} */ time) => (WIDTH * Math.max(0, time - start)) / DAY;
  const marks = interruptions.map(({ from, to, filled }) => {
    const [begin, end] = [left(Date.parse(from)), left(to === null ? now : Date.parse(to))];
    return svg("rect", {
      class: filled ? "mark filled" : "mark",
      x: Math.min(begin, WIDTH - LEAST),
      y: 0,
      width: Math.max(LEAST, end - begin),
      height: HEIGHT,
    });
  });
  return element(
    "div",
    { class: "timeline" },
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "track", x: 0, y: 0, width: WIDTH, height: HEIGHT }),
      ...marks,
    ),
    element(
      "p",
      { class: "scale" },
      ...[0, 0.25, 0.5, 0.75, 1].map((share) => element("span", {}, shown(start + share * DAY))),
    ),
  );
}
