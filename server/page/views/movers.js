// The view of gainers, losers and the largest volumes, from the live prices.

import { linePoints, sparkline } from "../chart/sparkline.js";
import { element, find, nameOf, reconcile, set, write } from "../dom.js";
import { title } from "../exchanges.js";
import { count, direction, percent, rounded } from "../format.js";
import { amount } from "../model/digits.js";
import { LEAST_VOLUME, movers } from "../model/movers.js";
import { quotesOf, quotesWithChip } from "../model/order.js";
import { onChip, showChips, toggled } from "./chips.js";
import { List } from "./list.js";

/** @import { Mover } from "../model/movers.js" */

const INTERVAL = 2000;
const LENGTH = 20;

const LISTS = /** @type {const} */ ([
  ["gainers", "Gainers"],
  ["losers", "Losers"],
  ["volumes", "Volume"],
]);

export class Movers extends List {
  #quotes = element("div", { class: "chips", role: "group", "aria-label": "Quote" });
  #bodies = {
    gainers: element("tbody"),
    losers: element("tbody"),
    volumes: element("tbody"),
  };

  /** @param {HTMLElement} section @param {import("../shell.js").Shell} shell */
  constructor(section, shell) {
    super(section, shell, INTERVAL);
    section.append(
      element("h2", {}, "Movers of the last 24 hours"),
      element(
        "p",
        { class: "lead" },
        `Of pairs with a volume of ${count(LEAST_VOLUME)} USDT or more.`,
      ),
      element("div", { class: "page-bar" }, this.#quotes),
      element(
        "div",
        { class: "columns" },
        ...LISTS.map(([name, label]) => this.#list(name, label)),
      ),
    );
    onChip(this.#quotes, (quote) => shell.go({ quotes: toggled(shell.place.quotes, quote) }));
  }

  refresh() {
    const { market, place } = this.shell;
    const quotes = quotesWithChip(quotesOf(market.pairs.values()), place.quotes);
    const chips = [
      { value: "", label: "All" },
      ...quotes.map((value) => ({ value, label: value })),
    ];
    showChips(this.#quotes, chips, place.quotes);
    const found = movers(market.pairs.values(), place.quotes, this.shell.context(), LENGTH);
    for (const [name] of LISTS) {
      reconcile(this.#bodies[name], found[name], {
        key: ({ pair }) => pair.key,
        create: (mover) => this.#row(mover),
        update: (row, mover) => this.#update(row, mover),
      });
      set(this.#bodies[name].closest("section"), "data-empty", String(found[name].length === 0));
    }
  }

  /** @param {"gainers" | "losers" | "volumes"} name @param {string} label */
  #list(name, label) {
    const columns = [
      ["Pair", "pair"],
      ["Price", "price"],
      ["Last day", "day"],
      ["24 h", "change"],
      ["Vol USDT", "volume"],
    ];
    return element(
      "section",
      { "aria-labelledby": `movers-${name}`, class: `card ${name}` },
      element("h3", { id: `movers-${name}` }, label),
      element(
        "table",
        { class: "list" },
        element(
          "thead",
          {},
          element(
            "tr",
            {},
            ...columns.map(([text, kind]) => element("th", { scope: "col", class: kind }, text)),
          ),
        ),
        this.#bodies[name],
      ),
      element("p", { class: "none" }, "None yet."),
    );
  }

  /** @param {Mover} mover */
  #row({ pair }) {
    return element(
      "tr",
      { "data-pair": pair.key },
      element("th", { scope: "row" }, element("a", {}, ...nameOf(pair))),
      element("td", { class: "price" }),
      element("td", { class: "day" }, sparkline()),
      element("td", { class: "change" }),
      element("td", { class: "volume" }),
    );
  }

  /** @param {any} row @param {Mover} mover */
  #update(row, { pair, exchange, price, percent: moved, volume }) {
    set(find("a", row), "href", this.shell.pairAddress(pair));
    write(find(".price", row), amount(price, pair.places));
    set(row, "title", `On ${title(exchange)}`);
    const change = find(".change", row);
    write(change, percent(moved));
    set(change, "data-direction", direction(moved));
    write(find(".volume", row), rounded(volume));
    const day = pair.sides.get(exchange)?.day;
    set(find(".day", row), "data-direction", direction(moved));
    set(find("polyline", row), "points", day ? linePoints(day.closes) : "");
  }
}
