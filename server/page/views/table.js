// The table of pairs. Only the rows in view are in the document; two empty rows take the place of the others.

import { element, find, set } from "../dom.js";
import { Row } from "./row.js";

/** @import { Pair } from "../types.js" */
/** @import { Column, Context } from "../model/columns.js" */

/** Rows rendered above and below the visible ones, so a fast scroll shows no gap. */
const OVERSCAN = 8;

/**
 * @typedef {object} Callbacks
 * @property {(pair: Pair) => string} address
 * @property {(pair: Pair) => boolean} isFavourite
 * @property {(pair: Pair) => boolean} isOpen
 * @property {(pair: Pair) => void} toggleFavourite
 * @property {(column: Column) => void} sort
 * @property {() => Context} context
 */

/** @typedef {{ key: string, part: "link" | "star" }} Focus a pair, and what of its row has the focus */

export class Table {
  #scroller;
  #table;
  #head;
  #body;
  #callbacks;
  #above = element("tr", { class: "spacer", "aria-hidden": "true" }, element("td"));
  #below = element("tr", { class: "spacer", "aria-hidden": "true" }, element("td"));
  /** @type {Column[]} */
  #columns = [];
  /** @type {Pair[]} */
  #pairs = [];
  /** @type {Map<string, Row>} rows in the document, by pair */
  #rows = new Map();
  /** @type {Row[]} rows that wait for another pair */
  #spare = [];
  /** Index of the row whose link Tab reaches. */
  #active = 0;
  /** Key of its pair, once a row was chosen: a new sort keeps the pair active. @type {string | undefined} */
  #activeKey;
  /** Height of a row in pixels. */
  #height = 40;
  /** What had the focus before a change of columns removed its row. @type {Focus | undefined} */
  #unfocused;

  /** @param {HTMLElement} scroller the element that scrolls the table @param {Callbacks} callbacks */
  constructor(scroller, callbacks) {
    this.#scroller = scroller;
    this.#table = find("table", scroller);
    this.#head = find("thead tr", scroller);
    this.#body = find("tbody", scroller);
    this.#callbacks = callbacks;
    this.#body.append(this.#above, this.#below);
    scroller.addEventListener("scroll", () => this.#render(), { passive: true });
    scroller.addEventListener("keydown", (event) => this.#move(event));
    this.#body.addEventListener("click", (/** @type {MouseEvent} */ event) => this.#click(event));
    this.#head.addEventListener("click", (/** @type {any} */ { target }) => {
      const id = target.closest("th")?.dataset.column;
      const column = this.#columns.find((each) => each.id === id);
      if (column && target.closest("button")) this.#callbacks.sort(column);
    });
  }

  /** @param {Column[]} columns @param {string} sort as in a place */
  setColumns(columns, sort) {
    // The style sheets set it, by density and width of the window.
    this.#height = Number.parseFloat(getComputedStyle(this.#scroller).getPropertyValue("--row"));
    if (described(columns) !== described(this.#columns)) {
      this.#columns = columns;
      this.#unfocused = this.#focused() ?? this.#unfocused;
      for (const row of this.#rows.values()) row.element.remove();
      this.#rows.clear();
      this.#spare = [];
      this.#head.replaceChildren(
        element("th", { scope: "col", class: "starred" }, hidden("Favourite")),
      );
      this.#head.append(...columns.map(header));
    }
    for (const cell of this.#head.children) {
      const id = cell.dataset.column;
      const order = sort === id ? "ascending" : sort === `-${id}` ? "descending" : null;
      set(cell, "aria-sort", order);
    }
  }

  /** Shows these pairs, in this order. @param {Pair[]} pairs */
  show(pairs) {
    this.#pairs = pairs;
    set(this.#table, "aria-rowcount", String(pairs.length + 1));
    const index = pairs.findIndex(({ key }) => key === this.#activeKey);
    if (index < 0) this.#activeKey = undefined;
    this.#active = index < 0 ? Math.max(0, Math.min(this.#active, pairs.length - 1)) : index;
    const focus = this.#focused() ?? this.#unfocused;
    this.#unfocused = undefined;
    this.#reassign();
    this.#render();
    if (focus === undefined) return;
    // The row that has the focus may show another pair now.
    const target = this.#rows.get(focus.key)?.[focus.part] ?? this.#scroller;
    if (target !== document.activeElement) target.focus({ preventScroll: true });
  }

  /** Whether somebody moves through the rows with the keyboard: the rows should then keep their places. */
  get isInUse() {
    return this.#body.querySelector(":focus-visible") !== null;
  }

  /** Updates the rows of these pairs; without `keys`, all rendered rows. @param {Set<string>} [keys] */
  update(keys) {
    const context = this.#callbacks.context();
    for (const [key, row] of this.#rows) {
      if (!keys || keys.has(key)) row.update(context);
    }
  }

  scrollToTop() {
    this.#scroller.scrollTop = 0;
    this.#active = 0;
    this.#activeKey = undefined;
    // A table that is at the top already gets no scroll event.
    this.#render();
  }

  /** Focuses the row of a pair, if it is in the table. @param {string} key */
  focus(key) {
    const index = this.#pairs.findIndex((pair) => pair.key === key);
    if (index >= 0) this.#moveTo(index);
  }

  /** Returns the pairs to render, and the index of the first one. */
  #window() {
    const first = Math.max(0, Math.floor(this.#scroller.scrollTop / this.#height) - OVERSCAN);
    const count = Math.ceil(this.#scroller.clientHeight / this.#height) + 2 * OVERSCAN;
    const start = Math.min(first, Math.max(0, this.#pairs.length - count));
    return { start, visible: this.#pairs.slice(start, start + count) };
  }

  /** Assigns each row to the pair that is now at its place, so that a new order moves no row. */
  #reassign() {
    const rows = [...this.#rows.values()].sort((a, b) => a.index - b.index);
    this.#rows.clear();
    for (const [offset, pair] of this.#window().visible.entries()) {
      const row = rows[offset];
      if (row) this.#rows.set(pair.key, row);
    }
    this.#spare.push(...rows.slice(this.#rows.size));
  }

  /** @param {Node | null} node @returns {Row | undefined} */
  #rowOf(node) {
    return [...this.#rows.values()].find(({ element }) => element.contains(node));
  }

  /** Returns what has the focus, if a row has it. @returns {Focus | undefined} */
  #focused() {
    const row = this.#rowOf(document.activeElement);
    if (!row?.pair) return undefined;
    return { key: row.pair.key, part: row.star === document.activeElement ? "star" : "link" };
  }

  #render() {
    const { start, visible } = this.#window();
    this.#recycle(new Set(visible.map((pair) => pair.key)));

    const context = this.#callbacks.context();
    let next = this.#above.nextElementSibling;
    for (const [offset, pair] of visible.entries()) {
      const row = this.#rows.get(pair.key) ?? this.#spare.pop() ?? new Row(this.#columns);
      this.#rows.set(pair.key, row);
      row.show(pair, context, {
        index: start + offset,
        address: this.#callbacks.address(pair),
        isFavourite: this.#callbacks.isFavourite(pair),
        isOpen: this.#callbacks.isOpen(pair),
      });
      row.link.tabIndex = start + offset === this.#active ? 0 : -1;
      if (row.element === next) next = next.nextElementSibling;
      else this.#body.insertBefore(row.element, next);
    }
    for (const row of this.#spare) row.element.remove();
    this.#fill(this.#above, start);
    this.#fill(this.#below, this.#pairs.length - start - visible.length);
  }

  /** Frees the rows whose pairs are not wanted. @param {Set<string>} wanted keys */
  #recycle(wanted) {
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) continue;
      // The focus would stay on the row, and so move to another pair.
      if (row.element.contains(document.activeElement)) this.#scroller.focus();
      this.#rows.delete(key);
      this.#spare.push(row);
    }
  }

  /** @param {HTMLElement} spacer @param {number} rows */
  #fill(spacer, rows) {
    const height = `${rows * this.#height}px`;
    if (spacer.style.height !== height) spacer.style.height = height;
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = /** @type {Element} */ (event.target);
    const row = this.#rowOf(target);
    if (!row?.pair) return;
    this.#setActive(row.index);
    if (target.closest("button")) this.#callbacks.toggleFavourite(row.pair);
    else if (!target.closest("a") && getSelection()?.isCollapsed !== false) row.link.click();
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.#scroller.clientHeight / this.#height) - 2);
    const row = this.#rowOf(document.activeElement);
    const from = row?.index ?? this.#active;
    const target = {
      ArrowDown: row ? from + 1 : from,
      ArrowUp: from - 1,
      PageDown: from + page,
      PageUp: from - page,
      Home: 0,
      End: this.#pairs.length - 1,
    }[event.key];
    if (target === undefined || this.#pairs.length === 0) return;
    event.preventDefault();
    this.#moveTo(target);
  }

  /** @param {number} index */
  #setActive(index) {
    this.#active = Math.max(0, Math.min(this.#pairs.length - 1, index));
    this.#activeKey = this.#pairs[this.#active].key;
  }

  /** Focuses a row and scrolls to it. @param {number} index */
  #moveTo(index) {
    this.#setActive(index);
    const top = this.#active * this.#height;
    const visible = this.#scroller.clientHeight - this.#head.offsetHeight - this.#height;
    if (top < this.#scroller.scrollTop) this.#scroller.scrollTop = top;
    else if (top > this.#scroller.scrollTop + visible) this.#scroller.scrollTop = top - visible;
    this.#render();
    this.#rows.get(this.#pairs[this.#active].key)?.link.focus({ preventScroll: true });
  }
}

/** @param {Column[]} columns */
function described(columns) {
  return columns.map(({ id, hint, label, width }) => `${id} ${hint} ${label} ${width}`).join();
}

/** @param {Column} column */
function header(column) {
  const label = column.kind === "age" ? ageLabel(column) : [column.label];
  const content =
    column.kind === "day"
      ? [element("span", {}, ...label)]
      : [element("button", { type: "button" }, element("span", {}, ...label), arrow())];
  const cell = element(
    "th",
    { scope: "col", class: column.kind, "data-column": column.id, title: column.hint },
    ...content,
  );
  // Columns share the rest of the width in proportion.
  cell.style.width = `${column.width}px`;
  return cell;
}

/** @param {Column} column */
function ageLabel({ label, hint }) {
  return [element("span", { "aria-hidden": "true" }, label), hidden(hint)];
}

function arrow() {
  return element("span", { class: "arrow", "aria-hidden": "true" });
}

/** @param {string} text for screen readers */
function hidden(text) {
  return element("span", { class: "hidden" }, text);
}
