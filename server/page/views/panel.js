// The panel of one pair: chart, figures of each exchange, and where each price came from.

import { address, get, pathOf } from "../api.js";
import { Chart } from "../chart/chart.js";
import { now } from "../clock.js";
import { element, find, nameOf, reconcile, set, write } from "../dom.js";
import { title } from "../exchanges.js";
import { direction, percent } from "../format.js";
import { INTERVALS } from "../model/address.js";
import { amount } from "../model/digits.js";
import { change, isOld, mainSide, sidesOn } from "../model/figures.js";
import { listingKey, pairKey } from "../model/market.js";
import { preferences, toggleFavourite } from "../preferences.js";
import { onChip, showChips } from "./chips.js";
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
  #now = element("p", { class: "now" }, this.#price, " ", this.#change);
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
  #detailsAt = Number.NEGATIVE_INFINITY;
  /** Keys of the symbols whose prices can be traced. */
  #listings = "";

  /** @param {Shell} shell */
  constructor(shell) {
    this.#shell = shell;
    this.#chart = new Chart(this.#drawing, {
      point: (candle) => {
        const pair = this.#pair;
        write(this.#legend, candle && pair ? legend(candle, pair.places) : "");
      },
      say: (state) => write(this.#notice, NOTICES[state]),
    });
    const curls = element("button", { type: "button", class: "plain" }, "Copy as curl");
    curls.addEventListener("click", () => {
      const { base, quote } = shell.place;
      // An unlisted symbol has neither: the page shows it in place of the base.
      const query = quote ? { base, quote } : { symbol: base };
      copy(curl(address("prices", /** @type {{}} */ (query))));
    });
    this.#body = element(
      "div",
      {},
      this.#now,
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
    this.#star.addEventListener("click", () => toggleFavourite(this.#key));
    onChip(this.#intervals, (interval) => shell.go({ interval }, { replace: true }));
    this.#choice.addEventListener("change", () =>
      shell.go({ candles: this.#choice.value }, { replace: true }),
    );
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
      this.coloursChanged(),
    );
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
    if (!isOpen) {
      this.#chart.close();
      this.#drawn = this.#shown = "";
      return;
    }
    const pair = this.#pair;
    const isOther = this.#shown !== this.#key;
    this.#shown = this.#key;
    if (isOther) {
      this.#name.replaceChildren(...nameOf(place));
      this.#listings = "";
      this.#detailsAt = Number.NEGATIVE_INFINITY;
      this.#panel.scrollTop = 0;
      this.#name.focus({ preventScroll: true });
      set(this.#star, "aria-label", `Favourite ${this.#key}`);
      this.#figures.clear();
    }
    set(this.#star, "aria-pressed", String(preferences.favourites.includes(this.#key)));
    this.#missing.hidden = pair !== undefined || market.pairs.size === 0;
    this.#body.hidden = pair === undefined;
    if (pair === undefined) return;
    showChips(
      this.#intervals,
      INTERVALS.map((value) => ({ value, label: value })),
      [place.interval],
    );
    const sides = this.#sides(pair);
    // Options stay: someone may be choosing one.
    reconcile(this.#choice, sides, {
      key: ({ exchange }) => exchange,
      create: ({ exchange }) => element("option", { value: exchange }),
      update: (option, { exchange }) => write(option, `${title(exchange)} as candles`),
    });
    const candles = this.#ordered(pair)[0].exchange;
    if (this.#choice.value !== candles) this.#choice.value = candles;
    const listings = sides.map(listingKey).join(" ");
    if (this.#listings !== listings) {
      this.#listings = listings;
      this.#sources.replaceChildren(...sides.map(sourceOf));
    }
    this.#draw(pair);
    this.tick();
  }

  /** The pairs were replaced. */
  replaced() {
    if (this.#shell.place.view !== "pair") return;
    this.show();
    if (this.#pair) this.#chart.live([...this.#pair.sides.values()]);
  }

  /** The system's colours changed: the chart is drawn again. */
  coloursChanged() {
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
    this.#update(pair);
    this.#chart.tick();
    if (performance.now() - this.#detailsAt < DETAILS_INTERVAL) return;
    this.#detailsAt = performance.now();
    for (const side of this.#sides(pair)) {
      get(`prices/${pathOf(side)}`).then((price) => {
        // The answer may arrive after another pair was opened.
        const shown = this.#pair;
        if (!price || shown?.key !== pair.key) return;
        this.#figures.setDetails(price);
        // At once: a paused page has no tick.
        this.#update(shown);
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

  /**
   * Returns the open pair with its price for the tab's title, or "". A price that may be old is left out: a
   * title can't be grey.
   * @param {boolean} isLive whether prices arrive
   */
  headline(isLive) {
    const pair = this.#pair;
    const side = pair && this.#main(pair);
    if (!side) return "";
    const isCurrent = isLive && !isOld(side, now());
    return isCurrent ? `${amount(side.price.price, pair.places)} ${pair.key}` : pair.key;
  }

  /** @param {Pair} pair */
  #update(pair) {
    const context = this.#shell.context();
    this.#figures.update(pair, this.#sides(pair), context);
    const side = this.#main(pair);
    if (!side) return;
    const moved = change(side);
    write(this.#price, amount(side.price.price, pair.places));
    write(this.#change, moved ? percent(moved.percent) : "");
    set(this.#change, "data-direction", direction(moved?.percent ?? 0));
    set(this.#now, "data-stale", isOld(side, context.now) ? "true" : null);
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
      preferences.theme,
      ...sides.map(listingKey),
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
    try {
      await this.#chart.open({ sides, interval, places: pair.places, zone: preferences.zone });
    } catch {
      if (this.#drawn !== drawn) return;
      write(this.#notice, "The chart can't be loaded now.");
      this.#drawn = "";
    }
  }
}

/** Texts by the state of the chart. */
const NOTICES = {
  loading: "Loading candles",
  candles: "",
  none: "No candle yet.",
  failed: "Candles can't be read now. The page tries again.",
};

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
