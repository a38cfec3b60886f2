// The exchanges in the page's head: the age of the newest price, and whether prices are simulated.

import { now } from "../clock.js";
import { element, find, reconcile, set, write } from "../dom.js";
import { age } from "../format.js";

/** @import { Shell } from "../shell.js" */

const LATE = 15_000;

export class Feeds {
  #list;
  #shell;
  /** @type {Set<string>} */
  #simulated = new Set();

  /** @param {Element} list @param {Shell} shell */
  constructor(list, shell) {
    this.#list = list;
    this.#shell = shell;
  }

  /** @param {{ exchange: string, simulated: boolean | null }[]} feeds of /api/feeds */
  load(feeds) {
    this.#simulated = new Set(feeds.filter((each) => each.simulated).map((each) => each.exchange));
    const areAllSimulated = feeds.every((each) => each.simulated);
    find("#simulated").hidden = !areAllSimulated;
    // One badge for all is enough.
    if (areAllSimulated) this.#simulated.clear();
  }

  update() {
    const newest = this.#newest();
    reconcile(this.#list, this.#shell.exchanges, {
      key: ({ name }) => name,
      create: ({ name }) =>
        element(
          "li",
          { "data-exchange": name },
          element("span", { class: "title" }),
          " ",
          element("span", { class: "age" }),
          " ",
          element("span", { class: "badge" }, "simulated"),
        ),
      update: (item, { name, title }) => {
        const received = newest.get(name);
        const milliseconds = received === undefined ? null : now() - received;
        write(find(".title", item), title);
        write(find(".age", item), milliseconds === null ? "no price yet" : age(milliseconds));
        set(item, "data-late", String(milliseconds === null || milliseconds > LATE));
        find(".badge", item).hidden = !this.#simulated.has(name);
      },
    });
  }

  /** Returns the time of the newest price of each exchange. */
  #newest() {
    /** @type {Map<string, number>} */
    const newest = new Map();
    for (const { sides } of this.#shell.market.pairs.values()) {
      for (const { exchange, receivedAt } of sides.values()) {
        if (receivedAt > (newest.get(exchange) ?? 0)) newest.set(exchange, receivedAt);
      }
    }
    return newest;
  }
}
