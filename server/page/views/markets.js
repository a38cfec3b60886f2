// The view of all pairs: search, filters and the table.

import { element, find, reconcile, set, write } from "../dom.js";
import { count } from "../format.js";
import { columnsOf, fitting } from "../model/columns.js";
import { chosen, inOrderOf, quotesOf, quotesWithChip } from "../model/order.js";
import { choose, preferences, toggleFavourite } from "../preferences.js";
import { onChip, showChips, toggled } from "./chips.js";
import { Table } from "./table.js";

/** @import { Pair } from "../types.js" */
/** @import { Column } from "../model/columns.js" */
/** @import { Shell } from "../shell.js" */

/** Number of quotes with a chip of their own; the others are in the list "More". */
const CHIPS_BEFORE_MORE = 6;
/** Milliseconds between two sortings. */
const SORT_INTERVAL = 3000;
/** Milliseconds for which the pointer must rest before rows are sorted: they must not jump under it. */
const REST = 1500;
const STAR_WIDTH = 36;
/** Width of the table in pixels below which columns become narrower in proportion. */
const NARROW = 480;
/** Smallest factor by which a column's width is multiplied. */
const NARROWEST = 0.74;

export class Markets {
  #shell;
  #scroller = find("#scroller");
  #search = find("#search");
  #exchangeChips = find("#exchange-chips");
  #quoteChips = find("#quote-chips");
  #otherQuotes = find("#other-quotes");
  #favourites = find("#favourites");
  #shown = find("#shown");
  #empty = find("#empty");
  #table;
  /** @type {Column[]} */
  #columns = [];
  /** @type {Pair[]} */
  #pairs = [];
  /** Search, order and filters that the rows were last shown for, as JSON. */
  #filters = "";
  #sortedAt = 0;
  #pointerMovedAt = 0;
  /** Whether no snapshot has arrived yet. */
  #isWaiting = true;

  /** @param {Shell} shell */
  constructor(shell) {
    this.#shell = shell;
    this.#table = new Table(this.#scroller, {
      address: (pair) => shell.pairAddress(pair),
      isFavourite: (pair) => preferences.favourites.includes(pair.key),
      isOpen: ({ base, quote }) => {
        const { place } = shell;
        return place.view === "pair" && place.base === base && place.quote === quote;
      },
      toggleFavourite: (pair) => toggleFavourite(pair.key),
      sort: (column) => this.#sortBy(column),
      context: () => shell.context(),
    });
    this.#search.addEventListener("input", () => {
      shell.go({ search: this.#search.value }, { replace: true });
    });
    onChip(this.#exchangeChips, (value) =>
      shell.go({ exchanges: toggled(shell.place.exchanges, value) }),
    );
    onChip(this.#quoteChips, (value) => shell.go({ quotes: toggled(shell.place.quotes, value) }));
    this.#otherQuotes.addEventListener("change", () => {
      shell.go({ quotes: toggled(shell.place.quotes, this.#otherQuotes.value) });
      this.#otherQuotes.value = "";
    });
    this.#favourites.addEventListener("click", () =>
      shell.go({ favourites: !shell.place.favourites }),
    );
    this.#scroller.addEventListener("pointermove", () => {
      this.#pointerMovedAt = performance.now();
    });
    new ResizeObserver(() => {
      this.#layOut();
      this.#table.show(this.#pairs);
    }).observe(this.#scroller);
    find("#columns").addEventListener("change", (/** @type {Event} */ event) => {
      const { value, checked } = /** @type {HTMLInputElement} */ (event.target);
      choose("hidden", value, !checked);
    });
  }

  /** Pairs in the order of the table, and its columns: what an export has. */
  get content() {
    return { pairs: this.#pairs, columns: this.#columns };
  }

  /** Shows the place: filters, order and the open pair. Sorts the rows only if order or filters changed. */
  show() {
    const { place, exchanges } = this.#shell;
    if (this.#search.value !== place.search) this.#search.value = place.search;
    const named = exchanges.map(({ name, title }) => ({ value: name, label: title }));
    const chips = [{ value: "", label: "All" }, ...named];
    showChips(this.#exchangeChips, chips, this.#shell.chosenExchanges());
    set(this.#favourites, "aria-pressed", String(place.favourites));
    this.#showQuotes();
    this.#layOut();
    const { search, sort, favourites, quotes, exchanges: wanted } = place;
    const filters = JSON.stringify([search, sort, favourites, quotes, wanted]);
    const isOther = filters !== this.#filters;
    this.#filters = filters;
    this.#arrange(isOther);
  }

  scrollToTop() {
    this.#table.scrollToTop();
  }

  /** Shows the pairs of the place, sorted again or in their present order. @param {boolean} isSorted */
  #arrange(isSorted) {
    const { place, market } = this.#shell;
    const context = this.#shell.context();
    const all = columnsOf(this.#shell.exchanges);
    const favourites = new Set(preferences.favourites);
    const sorted = chosen(market.pairs.values(), place, all, context, favourites);
    this.#pairs = isSorted ? sorted : inOrderOf(sorted, this.#pairs);
    if (isSorted) this.#sortedAt = performance.now();
    this.#table.show(this.#pairs);
    const isLoaded = market.pairs.size > 0 || !this.#isWaiting;
    const pairs = this.#pairs.length;
    write(this.#shown, isLoaded ? `${count(pairs)} ${pairs === 1 ? "pair" : "pairs"}` : "");
    this.#empty.hidden = !isLoaded || pairs > 0;
    write(find("p", this.#empty), place.favourites ? "No favourite matches." : "No pair matches.");
  }

  /** Pairs, exchanges or last days were replaced. The next tick sorts the rows, if it may. */
  replaced() {
    this.#isWaiting = false;
    this.#sortedAt = Number.NEGATIVE_INFINITY;
    this.show();
  }

  /** @param {Set<string>} keys of pairs whose prices changed */
  changed(keys) {
    this.#table.update(keys);
  }

  /** Once a second: ages, and the order if it is old, the pointer rests and no row has the keyboard focus. */
  tick() {
    const now = performance.now();
    const rests = now - this.#pointerMovedAt > REST && !this.#table.isInUse;
    if (rests && now - this.#sortedAt > SORT_INTERVAL) this.#arrange(true);
    this.#table.update();
  }

  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  /** @param {string} key */
  focusPair(key) {
    this.#table.focus(key);
  }

  /** Focuses the first row. */
  focusFirst() {
    if (this.#pairs.length) this.#table.focus(this.#pairs[0].key);
  }

  /** @param {Column} column */
  #sortBy({ id, kind }) {
    const { sort } = this.#shell.place;
    // Names and ages begin with the smallest, amounts with the largest.
    const first = kind === "pair" || kind === "age" ? id : `-${id}`;
    const other = first === id ? `-${id}` : id;
    this.#shell.go({ sort: sort === first ? other : first });
  }

  #layOut() {
    const { place, exchanges } = this.#shell;
    const shown = this.#shell.context().exchanges;
    const possible = columnsOf(exchanges.filter(({ name }) => shown.includes(name)));
    // With one exchange, nothing can be compared.
    const isSingle = shown.length < 2;
    const wanted = possible.filter(
      ({ id, kind }) => !preferences.hidden.includes(id) && !(kind === "difference" && isSingle),
    );
    const width = this.#scroller.clientWidth;
    const share = Math.max(NARROWEST, Math.min(1, width / NARROW));
    const scaled = wanted.map((column) => ({ ...column, width: column.width * share }));
    this.#columns = fitting(scaled, width - STAR_WIDTH);
    this.#table.setColumns(this.#columns, place.sort);
    this.#showColumnChoice(columnsOf(exchanges));
  }

  #showQuotes() {
    const { place, market } = this.#shell;
    const quotes = quotesOf(market.pairs.values());
    const chips = quotesWithChip(quotes, place.quotes, CHIPS_BEFORE_MORE);
    showChips(
      this.#quoteChips,
      [{ value: "", label: "All" }, ...chips.map((quote) => ({ value: quote, label: quote }))],
      place.quotes,
    );
    const options = quotes.filter((quote) => !chips.includes(quote));
    // Options stay: someone may be choosing one.
    reconcile(this.#otherQuotes, ["", ...options], {
      key: (quote) => quote,
      create: (quote) => element("option", { value: quote }, quote || "More"),
      update: () => {},
    });
    set(this.#otherQuotes, "data-empty", String(options.length === 0));
  }

  /** @param {Column[]} columns */
  #showColumnChoice(columns) {
    reconcile(find("#columns"), columns.slice(1), {
      key: ({ id }) => id,
      create: ({ id }) =>
        element("label", {}, element("input", { type: "checkbox", value: id }), element("span")),
      update: (label, { id, kind, hint, label: text }) => {
        find("input", label).checked = !preferences.hidden.includes(id);
        write(label.lastElementChild, kind === "price" || kind === "age" ? hint : text);
      },
    });
  }
}
