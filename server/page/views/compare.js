// The view of price differences between exchanges, largest first, from /api/compare.

import { element, find, nameOf, reconcile, set, write } from "../dom.js";
import { age, count, points } from "../format.js";
import { amount } from "../model/digits.js";
import { pairKey } from "../model/market.js";
import { quotesOf, quotesWithChip } from "../model/order.js";
import { onChip, showChips } from "./chips.js";
import { List } from "./list.js";

const INTERVAL = 3000;
/** Length of the longest bar, in basis points. */
const FULL_BAR = 100;

export class Compare extends List {
  #quotes = element("div", { class: "chips", role: "group", "aria-label": "Quote" });
  #head = element("tr");
  #body = element("tbody");
  #said = element("p", { class: "said", role: "status" }, "Loading");
  #doubtful = element("p", { class: "hint" });

  /** @param {HTMLElement} section @param {import("../shell.js").Shell} shell */
  constructor(section, shell) {
    super(section, shell, INTERVAL);
    section.append(
      element("h2", {}, "Largest differences between exchanges"),
      element(
        "p",
        { class: "lead" },
        "Fresh prices of pairs that trade on two exchanges or more, each with its age: since its last trade, " +
          "or since its arrival if the exchange sends no time of the trade.",
      ),
      element("div", { class: "page-bar" }, this.#quotes, this.#said),
      element(
        "div",
        { class: "scrolled" },
        element("table", { class: "list" }, element("thead", {}, this.#head), this.#body),
      ),
      this.#doubtful,
    );
    onChip(this.#quotes, (quote) => shell.go({ quotes: [quote] }));
  }

  get #quote() {
    return this.shell.place.quotes[0] ?? "USDT";
  }

  async refresh() {
    if (this.shell.exchanges.length === 0) return;
    const quote = this.#quote;
    const quotes = quotesWithChip(quotesOf(this.shell.market.pairs.values()), [quote]);
    showChips(
      this.#quotes,
      quotes.map((value) => ({ value, label: value })),
      [quote],
    );
    const answer = await this.read("compare", { quote });
    if (answer === undefined || quote !== this.#quote) return;
    if (answer === null) {
      write(this.#said, "The differences can't be read now.");
      return;
    }
    const credible = answer.pairs.filter((/** @type {any} */ pair) => !pair.probably_two_coins);
    credible.sort(
      (/** @type {any} */ a, /** @type {any} */ b) => b.difference_bp - a.difference_bp,
    );
    this.#show(credible);
    write(this.#said, `${count(credible.length)} ${credible.length === 1 ? "pair" : "pairs"}`);
    const left = answer.pairs.length - credible.length;
    write(
      this.#doubtful,
      left
        ? `${count(left)} more ${left === 1 ? "is" : "are"} over 20 % apart: probably two coins of the same name.`
        : "",
    );
  }

  /** @param {any[]} pairs */
  #show(pairs) {
    const columns = ["Pair", "Difference", ...this.shell.exchanges.map(({ title }) => title)];
    // A row has one cell per exchange, in their order: other columns need new rows.
    if (this.#head.textContent !== columns.join("")) this.#body.replaceChildren();
    reconcile(this.#head, columns, {
      key: (label) => label,
      create: (label) => element("th", { scope: "col" }, label),
      update: () => {},
    });
    reconcile(this.#body, pairs, {
      key: ({ base, quote }) => pairKey(base, quote),
      create: (pair) => this.#row(pair),
      update: (row, pair) => this.#update(row, pair),
    });
  }

  /** @param {any} pair */
  #row(pair) {
    const bar = element("meter", { min: 0, max: FULL_BAR, "aria-hidden": "true" });
    return element(
      "tr",
      { "data-pair": pairKey(pair.base, pair.quote) },
      element("th", { scope: "row" }, element("a", {}, ...nameOf(pair))),
      element("td", { class: "bar" }, element("span"), bar),
      ...this.shell.exchanges.map(({ name }) =>
        element(
          "td",
          { class: "venue", "data-exchange": name },
          element("span"),
          " ",
          element("small"),
        ),
      ),
    );
  }

  /** @param {HTMLElement} row @param {any} pair */
  #update(row, pair) {
    set(find("a", row), "href", this.shell.pairAddress(pair));
    write(find(".bar span", row), `${points(Number(pair.difference_bp))} bp`);
    find("meter", row).value = Math.min(FULL_BAR, Number(pair.difference_bp));
    const places = this.shell.market.pairs.get(pairKey(pair.base, pair.quote))?.places ?? 0;
    const highest = Math.max(...pair.venues.map((/** @type {any} */ venue) => Number(venue.price)));
    for (const cell of /** @type {NodeListOf<HTMLElement>} */ (row.querySelectorAll(".venue"))) {
      const venue = pair.venues.find(
        (/** @type {any} */ each) => each.exchange === cell.dataset.exchange,
      );
      write(find("span", cell), venue ? amount(venue.price, places) : "");
      write(find("small", cell), venue ? age(1000 * venue.age_seconds) : "");
      set(cell, "data-highest", venue && Number(venue.price) === highest ? "true" : null);
    }
  }
}
