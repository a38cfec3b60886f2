// The banner: one line per exchange of which most items can't be read; its prices may be old.

import { element, find, write } from "./dom.js";
import { title } from "./exchanges.js";

/**
 * `exchanges` are those of the stream's message; an empty list hides every line.
 * @param {HTMLElement} banner
 * @param {{ exchange: string, share: number, cause: string }[]} exchanges
 */
export function showUnreadable(banner, exchanges) {
  for (const { exchange } of exchanges) {
    if (!find(`[data-exchange="${exchange}"]`, banner)) banner.append(line(exchange));
  }
  for (const shown of /** @type {NodeListOf<HTMLElement>} */ (banner.querySelectorAll("p"))) {
    const found = exchanges.find(({ exchange }) => exchange === shown.dataset.exchange);
    shown.hidden = !found;
    if (!found) continue;
    // The title may be known only later.
    write(find(".title", shown), title(found.exchange));
    write(find(".share", shown), `${Math.round(100 * found.share)} %`);
    write(find(".cause", shown), found.cause);
  }
}

/** @param {string} exchange */
function line(exchange) {
  return element(
    "p",
    { class: "notice", "data-exchange": exchange },
    element(
      "strong",
      {},
      element("span", { class: "title" }),
      ": ",
      element("span", { class: "share", "aria-live": "off" }),
      " of its items in the last minute can't be read.",
    ),
    " Cause: ",
    element("span", { class: "cause" }),
    ". Its prices may be old.",
  );
}
