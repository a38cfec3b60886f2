// The chart of a pair: the candles of one exchange, the closes of the others as lines, interruptions shaded.

import { get } from "../api.js";
import { now } from "../clock.js";
import { title } from "../exchanges.js";
import { gapsOf, secondsOf, shadedTimes } from "../model/candles.js";
import { earlier } from "./history.js";
import { colour, library } from "./library.js";
import { Series } from "./series.js";
import { timeFormats } from "./times.js";

/** @import { Side } from "../types.js" */
/** @import { Candle, Gap } from "../model/candles.js" */
/** @import { Zone } from "../format.js" */

/** Minimum number of bars to the left of the visible part: with fewer, earlier ones are requested. */
const AHEAD = 20;
/** Milliseconds after which the newest candles are read again: the page sees one price per batch. */
const RECONCILE = 15_000;
/** Milliseconds after which the interruptions are read again. */
const GAPS_AGAIN = 60_000;
/** Milliseconds after a failed request until the next one. */
const RETRY = 5000;

/**
 * What is drawn: "none" if no candle was found of the exchange that is drawn as candles.
 * @typedef {"loading" | "candles" | "none" | "failed"} State
 */

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
  #say;
  /** @type {State} */
  #state = "loading";
  /** @type {any} */
  #chart = null;
  /** @type {Series[]} */
  #series = [];
  /** @type {any} */
  #shade = null;
  /** @type {Gap[]} */
  #gaps = [];
  #gapsAt = Number.NEGATIVE_INFINITY;
  /** Time of the candle under the pointer. @type {number | undefined} */
  #pointed;
  #width = 60;
  #isLoading = false;
  /** Whether no series has an older candle. */
  #isComplete = false;
  /** All candles from this time on were read, in milliseconds; null until a page was read. @type {number | null} */
  #readFrom = null;
  /** Where the first page began, ISO 8601. */
  #firstPage = "";
  #failedAt = Number.NEGATIVE_INFINITY;
  #isReconciling = false;
  #reconciledAt = 0;
  /** Whether a price arrived after the newest candles were read. */
  #hasNews = false;
  /** Counts the charts that were opened: an answer for an earlier one is discarded. */
  #turn = 0;

  /**
   * @param {HTMLElement} container
   * @param {{ point: (candle: Candle | null) => void, say: (state: State) => void }} receiver `point` gets the candle under
   *   the pointer, or the last one
   */
  constructor(container, { point, say }) {
    this.#container = container;
    this.#point = point;
    this.#say = say;
  }

  /** Draws a chart. Rejects if the library can't be loaded. @param {Shown} shown */
  async open({ sides, interval, places, zone }) {
    this.close();
    const turn = this.#turn;
    this.#show("loading");
    const charts = await library();
    if (turn !== this.#turn) return;
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
    this.#series = [...sides.entries()]
      .reverse()
      .map(
        ([number, side]) => new Series(side, interval, this.#add(charts, side, number, precision)),
      );
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange(() => this.tick());
    this.#chart.subscribeCrosshairMove((/** @type {any} */ { time }) => {
      this.#pointed = time;
      this.#showPointed();
    });
    await Promise.all([this.#loadEarlier(), this.#loadGaps(sides[0].exchange, turn)]);
  }

  close() {
    this.#turn += 1;
    this.#chart?.remove();
    this.#chart = null;
    this.#series = [];
    this.#gaps = [];
    this.#gapsAt = Number.NEGATIVE_INFINITY;
    this.#pointed = undefined;
    this.#point(null);
    this.#isLoading = false;
    this.#isComplete = false;
    this.#isReconciling = false;
    this.#hasNews = false;
    this.#readFrom = null;
    this.#failedAt = Number.NEGATIVE_INFINITY;
  }

  /** Once a second, and when the chart is moved: reads candles that are about to be seen, or that may have changed. */
  tick() {
    if (this.#chart === null) return;
    const range = this.#chart.timeScale().getVisibleLogicalRange();
    const isNeeded = this.#readFrom === null || this.#state === "failed";
    if (isNeeded || (range && range.from < AHEAD)) this.#loadEarlier();
    this.#reconcileIfDue();
  }

  /** Draws the newest prices of the sides into the running candles. @param {Side[]} sides */
  live(sides) {
    if (this.#chart === null) return;
    this.#hasNews = true;
    if (this.#isLoading) return;
    for (const side of sides) {
      this.#series.find(({ exchange }) => exchange === side.exchange)?.live(side, this.#width);
    }
    if (this.#readFrom === null) return;
    if (this.#state === "none" && this.#candles.bars.length > 0) this.#show("candles");
    this.#reconcileIfDue();
  }

  /** @param {State} state */
  #show(state) {
    this.#state = state;
    this.#say(state);
  }

  /** The series of candles is the last one. */
  get #candles() {
    return this.#series[this.#series.length - 1];
  }

  #reconcileIfDue() {
    if (!this.#hasNews || this.#isReconciling || this.#isLoading || this.#readFrom === null) return;
    if (performance.now() - this.#reconciledAt > RECONCILE) this.#reconcile();
  }

  async #reconcile() {
    this.#isReconciling = true;
    this.#hasNews = false;
    this.#reconciledAt = performance.now();
    const turn = this.#turn;
    for (const each of this.#series) {
      const isRead = await each.refresh(this.#firstPage, () => turn === this.#turn);
      if (turn !== this.#turn) return;
      this.#hasNews ||= !isRead;
    }
    if (performance.now() - this.#gapsAt > GAPS_AGAIN) {
      await this.#loadGaps(this.#candles.exchange, turn);
      if (turn !== this.#turn) return;
    }
    this.#isReconciling = false;
    this.#drawShade();
    this.#showPointed();
  }

  async #loadEarlier() {
    if (this.#isLoading || this.#isComplete) return;
    if (performance.now() - this.#failedAt < RETRY) return;
    this.#isLoading = true;
    const turn = this.#turn;
    const isFirst = this.#readFrom === null;
    const reads = this.#series.map((each) => each.read);
    const width = 1000 * this.#width;
    const found = await earlier(reads, this.#readFrom, now(), width);
    if (turn !== this.#turn) return;
    if (found === null) {
      this.#failedAt = performance.now();
      this.#isLoading = false;
      this.#show("failed");
      return;
    }
    for (const [number, candles] of found.pages.entries()) this.#series[number].merge(candles);
    this.#isComplete = found.from === null;
    this.#readFrom = found.from ?? this.#readFrom ?? Math.floor(now() / width) * width;
    // Not before: the library reports the new range while the candles are added.
    this.#isLoading = false;
    this.#drawShade();
    this.#show(this.#candles.bars.length > 0 ? "candles" : "none");
    if (!isFirst) return;
    this.#firstPage = new Date(this.#readFrom).toISOString();
    this.#reconciledAt = performance.now();
    this.#chart.timeScale().setVisibleLogicalRange(this.#lastBars());
    this.#showPointed();
  }

  #showPointed() {
    this.#point(this.#candles.candleAt(this.#pointed));
  }

  /** @param {string} exchange @param {number} turn */
  async #loadGaps(exchange, turn) {
    const answer = await get("feeds", { limit: "100" });
    if (answer === null || turn !== this.#turn) return;
    const feed = answer.feeds.find((/** @type {any} */ each) => each.exchange === exchange);
    const events = [...(feed?.events ?? []), ...(feed?.interruption ? [feed.interruption] : [])];
    this.#gaps = gapsOf(
      events.filter(({ kind }) => kind === "interruption"),
      now(),
    );
    this.#gapsAt = performance.now();
    this.#drawShade();
  }

  #drawShade() {
    const bars = this.#candles?.bars ?? [];
    if (bars.length === 0) return;
    const last = bars[bars.length - 1].time;
    const times = shadedTimes(this.#gaps, bars[0].time, last, this.#width);
    this.#shade.setData(times.map((time) => ({ time, value: 1 })));
  }

  /** Returns the range of the newest times. The library counts those of all series, each once. */
  #lastBars() {
    /** @type {{ time: number }[][]} */
    const drawn = [...this.#series.map(({ bars }) => bars), this.#shade.data()];
    const times = new Set(drawn.flatMap((bars) => bars.map(({ time }) => time)));
    const count = Math.min(120, Math.max(30, times.size));
    return { from: times.size - count, to: times.size + 3 };
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
    const { axis, pointer } = timeFormats(interval, zone);
    return {
      autoSize: true,
      layout: {
        background: { color: "transparent" },
        textColor: colour("quiet", this.#container),
        fontFamily: getComputedStyle(document.body).fontFamily,
        fontSize: 11,
        // The page's footer names the library: its logo would need an inline style.
        attributionLogo: false,
      },
      grid: { vertLines: { visible: false }, horzLines: { color: line } },
      rightPriceScale: { borderVisible: false },
      timeScale: {
        borderVisible: false,
        timeVisible: !interval.endsWith("d"),
        rightOffset: 3,
        tickMarkFormatter: (/** @type {number} */ time, /** @type {number} */ kind) =>
          axis(time, kind <= charts.TickMarkType.DayOfMonth),
      },
      crosshair: { mode: charts.CrosshairMode.Normal },
      localization: { timeFormatter: pointer },
    };
  }
}
