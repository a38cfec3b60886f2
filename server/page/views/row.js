// One row of the table. A row that leaves the visible part is reused for another pair.

import { element, nameOf, set } from "../dom.js";
import { isAllStale, isHalted } from "../model/figures.js";
import { CELLS } from "./cells.js";
import { icon } from "./icons.js";

/** @import { Pair } from "../types.js" */
/** @import { Column, Context } from "../model/columns.js" */

export class Row {
  element = element("tr");
  star = element("button", { type: "button", class: "star" }, icon("star"));
  link = element("a", { tabindex: "-1", draggable: "false" });
  /** @type {Pair | null} */
  pair = null;
  /** Its index among all pairs of the table, including those out of view. */
  index = 0;
  /** @type {[HTMLElement, Column][]} */
  #cells = [];

  /** @param {Column[]} columns */
  constructor(columns) {
    this.element.append(element("td", { class: "starred" }, this.star));
    for (const column of columns) {
      if (column.kind === "pair") {
        this.element.append(element("th", { scope: "row" }, this.link));
        continue;
      }
      const cell = element("td", { class: column.kind, "data-column": column.id });
      CELLS[column.kind].create?.(cell);
      this.#cells.push([cell, column]);
      this.element.append(cell);
    }
  }

  /**
   * @param {Pair} pair @param {Context} context
   * @param {{ index: number, address: string, isFavourite: boolean, isOpen: boolean }} place
   */
  show(pair, context, { index, address, isFavourite, isOpen }) {
    this.index = index;
    // It counts from 1, and the header is row 1.
    set(this.element, "aria-rowindex", String(index + 2));
    set(this.link, "href", address);
    set(this.link, "aria-current", isOpen ? "true" : null);
    set(this.element, "data-open", isOpen ? "true" : null);
    set(this.star, "aria-pressed", String(isFavourite));
    const isSame = this.pair === pair;
    const isOther = this.pair?.key !== pair.key;
    this.pair = pair;
    if (isOther) {
      set(this.element, "data-pair", pair.key);
      set(this.star, "aria-label", `Favourite ${pair.key}`);
      this.link.replaceChildren(...nameOf(pair));
    }
    // Of all sides, whatever the filter: the tag belongs to the pair.
    const isAllHalted = [...pair.sides.values()].every(isHalted);
    const tag = this.link.querySelector(".tag");
    if (isAllHalted && !tag) this.link.append(" ", element("span", { class: "tag" }, "halted"));
    else if (!isAllHalted) tag?.remove();
    if (!isSame) this.update(context, isOther);
  }

  /** @param {Context} context @param {boolean} isNew whether the cells still show another pair */
  update(context, isNew = false) {
    const pair = this.pair;
    if (pair === null) return;
    set(this.element, "data-stale", String(isAllStale(pair, context.exchanges, context.now)));
    for (const [cell, column] of this.#cells) {
      CELLS[column.kind].update(cell, pair, context, column, isNew);
    }
  }
}
