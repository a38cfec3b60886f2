// The page's keys. While a text is being entered, only Esc works, and ↓ in the search. None works with Ctrl, Alt or Meta.

import { find } from "./dom.js";

/** @import { Shell } from "./shell.js" */
/** @import { Markets } from "./views/markets.js" */

const VIEWS = /** @type {const} */ (["markets", "compare", "movers", "status"]);

/** @param {{ shell: Shell, markets: Markets, togglePause: () => void }} page */
export function listenToKeys({ shell, markets, togglePause }) {
  const help = find("#help");
  find("#help-button").addEventListener("click", () => help.showModal());

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || help.open) return;
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.key === "Escape") back(target);
    if (target.matches("input:not([type=checkbox], [type=radio]), select")) {
      if (event.key === "ArrowDown" && target.id === "search") {
        event.preventDefault();
        markets.focusFirst();
      }
      return;
    }
    if (event.key === "/") {
      event.preventDefault();
      if (!isTableSeen()) shell.go({ view: "markets", base: "", quote: "" });
      markets.focusSearch();
    } else if (event.key === "?") help.showModal();
    else if (event.key === "p") togglePause();
    else if (event.key === "f") star(target)?.click();
    else if (event.key === "ArrowDown" && target === document.body && isTableSeen()) {
      event.preventDefault();
      markets.focusFirst();
    } else if (VIEWS[Number(event.key) - 1]) {
      shell.go({ view: VIEWS[Number(event.key) - 1], base: "", quote: "" });
    }
  });

  /** Returns whether the table of pairs is neither hidden nor, in a narrow window, covered by an open pair. */
  function isTableSeen() {
    const isCovered = shell.place.view === "pair" && matchMedia("(max-width: 60rem)").matches;
    return shell.list === "markets" && !isCovered;
  }

  /** Returns the star of the focused row, or of the open pair. @param {HTMLElement} target @returns {HTMLElement | null} */
  function star(target) {
    const row = target.closest("tr");
    if (row) return find("button.star", row);
    return shell.place.view === "pair" ? find("#panel button.star") : null;
  }

  /** @param {HTMLElement} target */
  function back(target) {
    // An open menu closes by itself.
    if (find(":popover-open")) return;
    if (target.id === "search" && shell.place.search) shell.go({ search: "" }, { replace: true });
    else if (shell.place.view === "pair") shell.close();
    else if (target.id === "search") target.blur();
  }
}
