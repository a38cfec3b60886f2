// The panel of one pair: chart, figures of each exchange, and where each price came from.

import { address, get, pathOf } from "../api.js";
import { Chart } from "../chart/chart.js";
import { element, find, nameOf, set, write } from "../dom.js";
import { title } from "../exchanges.js";
import { direction, percent } from "../format.js";
import { INTERVALS } from "../model/address.js";
import { amount } from "../model/digits.js";
import { change, mainSide, sidesOn } from "../model/figures.js";
import { pairKey } from "../model/market.js";
import { prefer, preferences } from "../preferences.js";
import { onChip, showChips, toggled } from "./chips.js";
import { icon } from "./icons.js";
import { copy, curl } from "./options.js";
import { PairFigures } from "./pair_figures.js";
import { sourceOf } from "./source.js";

/** @import { Pair, Side } from "../types.js" */
/** @import { Shell } from "../shell.js" */

const DETAILS_INTERVAL = 5000;

export class Panel {
  #shell;
  #panel = find("#panel");
  #name = element("h2", { id: "panel-name", tabindex: "-1" });
  #star = element("button", { type: "button", class: "star" }, icon("star"));
  #close = element(
    "button",
    { type: "button", class: "close", "aria-label": "Close (Esc)" },
    icon("close"),
  );
  #price = element("strong", { class: "headline" });
  #change = element("span", { class: "change" });
  #intervals = element("div", { class: "chips joined", role: "group", "aria-label": "Interval" });
  #choice = element("select", { "aria-label": "Candles of" });
  #legend = element("p", { class: "legend" });
  #drawing = element("div", { class: "chart", role: "img" });
  #notice = element("p", { class: "chart-notice", role: "status" });
  #figures = new PairFigures();
  #sources = element("div");
  #missing = element("p", { class: "missing" }, "No exchange has a price of this pair.");
  #body;
  #chart;
  /** What the chart shows now, so that only a change draws it again. */
  #drawn = "";
  #shown = "";
  #detailsAt = 0;
  /** The price in the tab's title, or "". */
  headline = "";

  /** @param {Shell} shell */
  constructor(shell) {
    this.#shell = shell;
    this.#chart = new Chart(this.#drawing, (candle) => {
      const pair = this.#pair;
      write(this.#legend, candle && pair ? legend(candle, pair.places) : "");
    });
    const curls = element("button", { type: "button", class: "plain" }, "Copy as curl");
    curls.addEventListener("click", () => {
      const { base, quote } = shell.place;
      const query = { base, ...(quote ? { quote } : {}) };
      copy(curl(address("prices", /** @type {{}} */ (query))));
    });
    this.#body = element(
      "div",
      {},
      element("p", { class: "now" }, this.#price, " ", this.#change),
      element("div", { class: "chart-bar" }, this.#intervals, this.#choice),
      this.#legend,
      this.#drawing,
      this.#notice,
      this.#figures.element,
      this.#sources,
      element("p", { class: "panel-foot" }, curls),
    );
    this.#panel.append(
      element("div", { class: "panel-head" }, this.#star, this.#name, this.#close),
      this.#missing,
      this.#body,
    );
    this.#close.addEventListener("click", () => shell.close());
    this.#star.addEventListener("click", () => {
      prefer({ favourites: toggled(preferences.favourites, this.#key) });
      set(this.#star, "aria-pressed", String(preferences.favourites.includes(this.#key)));
    });
    onChip(this.#intervals, (interval) => shell.go({ interval }, { replace: true }));
    this.#choice.addEventListener("change", () =>
      shell.go({ candles: this.#choice.value }, { replace: true }),
    );
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.zoneChanged());
  }

  get #key() {
    return pairKey(this.#shell.place.base, this.#shell.place.quote);
  }

  /** @returns {Pair | undefined} */
  get #pair() {
    return this.#shell.place.view === "pair" ? this.#shell.market.pairs.get(this.#key) : undefined;
  }

  /** Shows the pair of the place, or nothing. */
  show() {
    const { place, market } = this.#shell;
    const isOpen = place.view === "pair";
    this.#panel.hidden = !isOpen;
    set(document.documentElement, "data-panel", isOpen ? "true" : null);
    if (!isOpen) {
      this.#chart.close();
      this.#drawn = this.#shown = this.headline = "";
      return;
    }
    const pair = this.#pair;
    const isOther = this.#shown !== this.#key;
    this.#shown = this.#key;
    if (isOther) {
      this.#name.replaceChildren(...nameOf(place));
      this.#sources.replaceChildren();
      this.#detailsAt = 0;
      this.#panel.scrollTop = 0;
      this.#name.focus({ preventScroll: true });
      set(this.#star, "aria-label", `Favourite ${this.#key}`);
      set(this.#star, "aria-pressed", String(preferences.favourites.includes(this.#key)));
      this.#figures.clear();
    }
    this.#missing.hidden = pair !== undefined || market.pairs.size === 0;
    this.#body.hidden = pair === undefined;
    if (pair === undefined) {
      this.headline = "";
      return;
    }
    showChips(
      this.#intervals,
      INTERVALS.map((value) => ({ value, label: value })),
      [place.interval],
    );
    const sides = this.#sides(pair);
    this.#choice.replaceChildren(
      ...sides.map(({ exchange }) =>
        element("option", { value: exchange }, `${title(exchange)} as candles`),
      ),
    );
    this.#choice.value = this.#ordered(pair)[0].exchange;
    if (this.#sources.childElementCount !== sides.length) {
      this.#sources.replaceChildren(...sides.map(sourceOf));
    }
    this.#update(pair);
    this.#draw(pair);
    this.tick();
  }

  /** The pairs were replaced. */
  replaced() {
    if (this.#shell.place.view === "pair") this.show();
  }

  /** The time zone or the theme changed: the chart is drawn again. */
  zoneChanged() {
    this.#drawn = "";
    this.show();
  }

  /** @param {Set<string>} keys of pairs whose prices changed */
  changed(keys) {
    const pair = this.#pair;
    if (!pair || !keys.has(pair.key)) return;
    this.#update(pair);
    // A price with more decimals than before needs a finer scale.
    this.#draw(pair);
    this.#chart.live([...pair.sides.values()]);
  }

  /** Once a second: ages, and from time to time the figures that the stream does not have. */
  tick() {
    const pair = this.#pair;
    if (!pair) return;
    this.#figures.update(pair, this.#sides(pair), this.#shell.context());
    if (performance.now() - this.#detailsAt < DETAILS_INTERVAL) return;
    this.#detailsAt = performance.now();
    for (const side of this.#sides(pair)) {
      get(`prices/${pathOf(side)}`).then((price) => {
        // The answer may arrive after another pair was opened.
        if (price && this.#pair?.key === pair.key) this.#figures.setDetails(price);
      });
    }
  }

  /** @param {Pair} pair */
  #sides(pair) {
    return sidesOn(
      pair,
      this.#shell.exchanges.map(({ name }) => name),
    );
  }

  /** Returns the sides, the one that is drawn as candles first. @param {Pair} pair @returns {Side[]} */
  #ordered(pair) {
    const sides = this.#sides(pair);
    const first =
      sides.find(({ exchange }) => exchange === this.#shell.place.candles) ??
      this.#main(pair) ??
      sides[0];
    return [first, ...sides.filter((side) => side !== first)];
  }

  /** @param {Pair} pair */
  #main(pair) {
    const { rates } = this.#shell.context();
    return mainSide(
      pair,
      this.#shell.exchanges.map(({ name }) => name),
      rates,
    );
  }

  /** @param {Pair} pair */
  #update(pair) {
    const side = this.#main(pair);
    if (!side) return;
    const text = amount(side.price.price, pair.places);
    const moved = change(side);
    write(this.#price, text);
    write(this.#change, moved ? percent(moved.percent) : "");
    set(this.#change, "data-direction", direction(moved?.percent ?? 0));
    this.headline = `${text} ${pair.key}`;
    this.#figures.update(pair, this.#sides(pair), this.#shell.context());
  }

  /** @param {Pair} pair */
  async #draw(pair) {
    const { interval } = this.#shell.place;
    const sides = this.#ordered(pair);
    const drawn = [
      pair.key,
      interval,
      pair.places,
      preferences.zone,
      ...sides.map((each) => each.exchange),
    ].join(" ");
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    set(
      this.#drawing,
      "aria-label",
      `Candles of ${pair.key} on ${title(sides[0].exchange)}, ${interval} each` +
        (sides.length > 1
          ? `; closes of ${sides
              .slice(1)
              .map((each) => title(each.exchange))
              .join(", ")}`
          : ""),
    );
    write(this.#notice, "Loading candles");
    try {
      const { places } = pair;
      const { zone } = preferences;
      const hasCandles = await this.#chart.open({ sides, interval, places, zone });
      if (this.#drawn === drawn) write(this.#notice, hasCandles ? "" : "No candle yet.");
    } catch {
      write(this.#notice, "The chart can't be loaded now.");
      this.#drawn = "";
    }
  }
}

const SOURCES = {
  updates: "ticker updates",
  exchange: "exchange's candles",
  both: "both sources",
};

/** @param {import("../model/candles.js").Candle} candle @param {number} places */
function legend({ open, high, low, close, source }, places) {
  const shown = (/** @type {string} */ text) => amount(text, places);
  return `O ${shown(open)}  H ${shown(high)}  L ${shown(low)}  C ${shown(close)}  ${SOURCES[source]}`;
}
