// The view of the pipeline: feeds, batches, dead letters and tables, from /api/status.

import { lineChart } from "../chart/lines.js";
import { timeline } from "../chart/timeline.js";
import { element, write } from "../dom.js";
import { age, bytes, clockTime, count, MISSING, minute, moment } from "../format.js";
import { wholeHour } from "../model/batch_minutes.js";
import { preferences } from "../preferences.js";
import { List } from "./list.js";

const INTERVAL = 10_000;
const LATE_SECONDS = 15;
const INTERRUPTIONS = 5;

export class Status extends List {
  #said = element("p", { class: "said", role: "status" }, "Loading");
  #content = element("div", { class: "status" });

  /** @param {HTMLElement} section @param {import("../shell.js").Shell} shell */
  constructor(section, shell) {
    super(section, shell, INTERVAL);
    section.append(element("h2", {}, "Status"), this.#said, this.#content);
  }

  async refresh() {
    const status = await this.read("status");
    if (status === undefined) return;
    if (status === null) {
      const isOld = this.#content.childElementCount > 0;
      write(this.#said, `The status can't be read now.${isOld ? " What follows is older." : ""}`);
      return;
    }
    write(this.#said, `As of ${clockTime(status.time, preferences.zone)}`);
    this.#content.replaceChildren(
      ...status.exchanges.map((/** @type {any} */ feed) => feedCard(feed, Date.parse(status.time))),
      batchCard(wholeHour(status.minutes, Date.parse(status.time))),
      deadLetterCard(status.dead_letters, Date.parse(status.time)),
      tableCard(status.tables),
    );
  }
}

/** @param {any} feed @param {number} now */
function feedCard(feed, now) {
  const isLate = feed.age_seconds === null || feed.age_seconds > LATE_SECONDS;
  const figures = [
    ["Newest price", feed.age_seconds === null ? "none" : age(1000 * feed.age_seconds)],
    [
      "Ticks per second",
      feed.ticks_per_second === null ? MISSING : count(Math.round(feed.ticks_per_second)),
    ],
    ["Pairs", count(feed.pairs)],
    ["With complete candles", count(feed.filled_pairs)],
  ];
  const latest = feed.interruptions.slice(0, INTERRUPTIONS);
  const earlier = feed.interruptions.length - latest.length;
  return card(
    [
      feed.title,
      ...(feed.simulated === null
        ? []
        : [
            " ",
            element(
              "span",
              { class: feed.simulated ? "badge" : "badge real" },
              feed.simulated ? "simulated" : "real",
            ),
          ]),
    ],
    { "data-exchange": feed.exchange, "data-late": isLate },
    element(
      "dl",
      { class: "figures-row" },
      ...figures.map(([name, value]) =>
        element("div", {}, element("dt", {}, name), element("dd", {}, value)),
      ),
    ),
    timeline(feed.interruptions, now, (time) => minute(time, preferences.zone)),
    latest.length === 0
      ? element("p", { class: "hint" }, "No interruption in the last 24 hours.")
      : table(
          ["Interrupted at", "For", "Reason", "Candles"],
          latest.map((/** @type {any} */ each) => [
            moment(each.from, now, preferences.zone),
            each.to === null ? "until now" : age(Date.parse(each.to) - Date.parse(each.from)),
            each.reason ?? "unknown",
            each.filled ? "filled" : "not filled",
          ]),
        ),
    ...(earlier > 0
      ? [
          element(
            "p",
            { class: "hint" },
            `${count(earlier)} earlier ${earlier === 1 ? "one is" : "ones are"} marked above.`,
          ),
        ]
      : []),
  );
}

/** @param {import("../model/batch_minutes.js").BatchMinute[]} minutes of the whole hour */
function batchCard(minutes) {
  const of = (/** @type {"rows" | "batches" | "dead_letters" | "p50_ms" | "p95_ms"} */ name) =>
    minutes.map((each) => each[name]);
  const milliseconds = (/** @type {number} */ value) => `${count(Math.round(value))} ms`;
  const whole = (/** @type {number} */ value) => count(Math.round(value));
  return card(
    ["Batches of the last hour"],
    { class: "card wide" },
    element(
      "div",
      { class: "line-charts" },
      lineChart("Rows a minute", [{ label: "", values: of("rows") }], whole),
      lineChart("Batches a minute", [{ label: "", values: of("batches") }], whole),
      lineChart(
        "Transaction time",
        [
          { label: "p50", values: of("p50_ms") },
          { label: "p95", values: of("p95_ms") },
        ],
        milliseconds,
      ),
      lineChart("Dead letters a minute", [{ label: "", values: of("dead_letters") }], whole),
    ),
  );
}

/** @param {any[]} letters @param {number} now */
function deadLetterCard(letters, now) {
  return card(
    ["Dead letters of the last 24 hours"],
    {},
    letters.length === 0
      ? element("p", { class: "hint" }, "None: everything could be read.")
      : table(
          ["Cause", "Topic", "Letters", "Last"],
          letters.map(({ cause, topic, letters: number, last_written_at }) => [
            cause,
            topic,
            count(number),
            moment(last_written_at, now, preferences.zone),
          ]),
        ),
  );
}

/** @param {{ table: string, bytes: number }[]} tables */
function tableCard(tables) {
  return card(
    ["Tables in Postgres"],
    {},
    table(
      ["Table", "Size"],
      tables.map((each) => [each.table, bytes(each.bytes)]),
    ),
  );
}

/** @param {(Node | string)[]} heading @param {Record<string, any>} attributes @param {...Node} content */
function card(heading, attributes, ...content) {
  return element(
    "article",
    { class: "card", ...attributes },
    element("h3", {}, ...heading),
    ...content,
  );
}

/** @param {string[]} names @param {string[][]} rows the first cell of each is its name */
function table(names, rows) {
  return element(
    "table",
    { class: "list" },
    element(
      "thead",
      {},
      element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name))),
    ),
    element(
      "tbody",
      {},
      ...rows.map(([first, ...rest]) =>
        element(
          "tr",
          {},
          element("th", { scope: "row" }, first),
          ...rest.map((text) => element("td", {}, text)),
        ),
      ),
    ),
  );
}
