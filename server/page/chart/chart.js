// The chart of a pair: the candles of one exchange, the closes of the others as lines, interruptions shaded.

import { get } from "../api.js";
import { now } from "../clock.js";
import { title } from "../exchanges.js";
import { clockTime, day, minute } from "../format.js";
import { secondsOf, shadedTimes } from "../model/candles.js";
import { colour, library } from "./library.js";
import { Series } from "./series.js";

/** @import { Side } from "../types.js" */
/** @import { Candle, Gap } from "../model/candles.js" */
/** @import { Zone } from "../format.js" */

const PAGE = 500;
/** Bars left of the visible part from which earlier ones are requested. */
const AHEAD = 20;
/** Milliseconds after which the newest candles are read again: the page sees one price per batch. */
const RECONCILE = 15_000;

/**
 * @typedef {object} Shown
 * @property {Side[]} sides the first one is drawn as candles
 * @property {string} interval
 * @property {number} places decimals of the prices
 * @property {Zone} zone of the times
 */

export class Chart {
  #container;
  #point;
  /** @type {any} */
  #chart = null;
  /** @type {Series[]} */
  #series = [];
  /** @type {any} */
  #shade = null;
  /** @type {Gap[]} */
  #gaps = [];
  #width = 60;
  #isLoading = false;
  #isComplete = false;
  #reconciledAt = 0;
  /** Counts the charts that were opened: an answer for an earlier one is discarded. */
  #turn = 0;

  /**
   * @param {HTMLElement} container
   * @param {(candle: Candle | null) => void} point gets the candle under the pointer, or the last one
   */
  constructor(container, point) {
    this.#container = container;
    this.#point = point;
  }

  /** Draws a chart; resolves to false if no candle could be read. @param {Shown} shown */
  async open({ sides, interval, places, zone }) {
    this.close();
    const turn = this.#turn;
    const charts = await library();
    if (turn !== this.#turn) return true;
    const width = secondsOf(interval);
    this.#width = width;
    this.#chart = charts.createChart(this.#container, this.#options(charts, interval, zone));
    this.#addShade(charts);
    const precision = {
      type: "price",
      precision: Math.min(places, 16),
      minMove: 10 ** -Math.min(places, 16),
    };
    // Lines first: the candles are drawn above them.
    this.#series = sides
      .map((side, number) => new Series(side, interval, this.#add(charts, side, number, precision)))
      .reverse();
    await Promise.all([this.#loadEarlier(turn), this.#loadGaps(sides[0].exchange, turn)]);
    if (turn !== this.#turn) return true;
    this.#chart.timeScale().setVisibleLogicalRange(this.#lastBars());
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((/** @type {any} */ range) => {
      if (range && range.from < AHEAD) this.#loadEarlier(turn);
    });
    this.#chart.subscribeCrosshairMove((/** @type {any} */ { time }) =>
      this.#point(this.#candles.candleAt(time)),
    );
    this.#point(this.#candles.candleAt(undefined));
    return this.#candles.bars.length > 0;
  }

  close() {
    this.#turn += 1;
    this.#chart?.remove();
    this.#chart = null;
    this.#series = [];
    this.#isLoading = false;
    this.#isComplete = false;
  }

  /** Draws the newest prices of the sides into the running candles. @param {Side[]} sides */
  live(sides) {
    if (this.#chart === null || this.#isLoading) return;
    for (const side of sides) {
      this.#series.find(({ exchange }) => exchange === side.exchange)?.live(side, this.#width);
    }
    if (performance.now() - this.#reconciledAt > RECONCILE) this.#reconcile();
  }

  /** The series of candles is the last one. */
  get #candles() {
    return this.#series[this.#series.length - 1];
  }

  async #reconcile() {
    this.#reconciledAt = performance.now();
    const turn = this.#turn;
    for (const each of this.#series) {
      const candles = await each.read({ limit: "3" });
      if (turn !== this.#turn) return;
      each.merge(candles);
    }
    this.#drawShade();
  }

  /** @param {number} turn */
  async #loadEarlier(turn) {
    if (this.#isLoading || this.#isComplete) return;
    this.#isLoading = true;
    const first = this.#candles.bars[0]?.time;
    const until = first ? { to: new Date(first * 1000).toISOString() } : {};
    const pages = await Promise.all(
      this.#series.map((each) => each.read({ limit: String(PAGE), .../** @type {{}} */ (until) })),
    );
    if (turn !== this.#turn) return;
    for (const [number, candles] of pages.entries()) this.#series[number].merge(candles);
    this.#isComplete = pages[pages.length - 1].length === 0;
    this.#drawShade();
    this.#reconciledAt = performance.now();
    this.#isLoading = false;
  }

  /** @param {string} exchange @param {number} turn */
  async #loadGaps(exchange, turn) {
    const answer = await get("feeds", { limit: "100" });
    if (answer === null || turn !== this.#turn) return;
    const feed = answer.feeds.find((/** @type {any} */ each) => each.exchange === exchange);
    const events = [...(feed?.events ?? []), ...(feed?.interruption ? [feed.interruption] : [])];
    this.#gaps = events
      .filter(({ kind }) => kind === "interruption")
      .map(({ from, to }) => ({
        from: Date.parse(from),
        to: to === null ? now() : Date.parse(to),
      }));
    this.#drawShade();
  }

  #drawShade() {
    const bars = this.#candles?.bars ?? [];
    if (bars.length === 0) return;
    const last = bars[bars.length - 1].time;
    const times = shadedTimes(this.#gaps, bars[0].time, last, this.#width);
    this.#shade.setData(times.map((time) => ({ time, value: 1 })));
  }

  #lastBars() {
    const count = Math.min(120, Math.max(30, this.#candles.bars.length));
    return { from: this.#candles.bars.length - count, to: this.#candles.bars.length + 3 };
  }

  /** @param {any} charts */
  #addShade(charts) {
    this.#shade = this.#chart.addSeries(charts.HistogramSeries, {
      color: colour("shade", this.#container),
      priceScaleId: "shade",
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.#chart
      .priceScale("shade")
      .applyOptions({ scaleMargins: { top: 0, bottom: 0 }, visible: false });
  }

  /** @param {any} charts @param {Side} side @param {number} number @param {object} priceFormat */
  #add(charts, side, number, priceFormat) {
    const named = (/** @type {string} */ name) => colour(name, this.#container);
    if (number === 0) {
      const [up, down] = [named("up"), named("down")];
      return this.#chart.addSeries(charts.CandlestickSeries, {
        upColor: up,
        downColor: down,
        wickUpColor: up,
        wickDownColor: down,
        borderVisible: false,
        priceFormat,
      });
    }
    return this.#chart.addSeries(charts.LineSeries, {
      color: named(`line-${((number - 1) % 3) + 1}`),
      title: title(side.exchange),
      lineWidth: 1.5,
      priceLineVisible: false,
      crosshairMarkerVisible: false,
      priceFormat,
    });
  }

  /** @param {any} charts @param {string} interval @param {Zone} zone */
  #options(charts, interval, zone) {
    const line = colour("line", this.#container);
    const isDay = interval.endsWith("d");
    const milliseconds = (/** @type {number} */ time) => time * 1000;
    return {
      autoSize: true,
      layout: {
        background: { color: "transparent" },
        textColor: colour("quiet", this.#container),
        fontFamily: getComputedStyle(document.body).fontFamily,
        fontSize: 11,
        // The page's foot names the library: its logo would need an inline style.
        attributionLogo: false,
      },
      grid: { vertLines: { visible: false }, horzLines: { color: line } },
      rightPriceScale: { borderVisible: false },
      timeScale: {
        borderVisible: false,
        timeVisible: !isDay,
        rightOffset: 3,
        tickMarkFormatter: (/** @type {number} */ time, /** @type {number} */ kind) =>
          kind <= charts.TickMarkType.DayOfMonth
            ? day(milliseconds(time), zone)
            : minute(milliseconds(time), zone),
      },
      crosshair: { mode: charts.CrosshairMode.Normal },
      localization: {
        timeFormatter: (/** @type {number} */ time) =>
          isDay
            ? day(milliseconds(time), "utc")
            : `${day(milliseconds(time), zone)}, ${clockTime(milliseconds(time), zone)}`,
      },
    };
  }
}
