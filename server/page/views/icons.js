// The page's icons, drawn with lines in the colour of the text.

import { svg } from "../dom.js";

const PATHS = {
  star: "M8 1.8l1.9 4 4.3.6-3.1 3 .8 4.3L8 11.6l-3.9 2.1.8-4.3-3.1-3 4.3-.6z",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
};

/** @param {keyof typeof PATHS} name */
export function icon(name) {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" },
    svg("path", { d: PATHS[name] }),
  );
}
