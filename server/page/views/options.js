// The menu: theme, density, time zone, export, and a curl command that requests the prices.

import { address } from "../api.js";
import { find, set, write } from "../dom.js";
import { toCsv } from "../model/csv.js";
import { prefer, preferences } from "../preferences.js";
import { plainText } from "./cells.js";

/** @import { Shell } from "../shell.js" */
/** @import { Pair } from "../types.js" */
/** @import { Column } from "../model/columns.js" */

/** Milliseconds for which a message is shown. */
const MESSAGE_DURATION = 4000;

let clearing = 0;

export class Options {
  #shell;
  #content;
  #menu = find("#menu");

  /**
   * @param {Shell} shell
   * @param {() => { pairs: Pair[], columns: Column[] }} content returns the rows and columns of the table
   */
  constructor(shell, content) {
    this.#shell = shell;
    this.#content = content;
    this.#menu.addEventListener("change", (/** @type {Event} */ event) => {
      const { name, value } = /** @type {HTMLInputElement} */ (event.target);
      prefer({ [name]: value });
    });
    find("#export").addEventListener("click", () => this.#export());
    find("#curl").addEventListener("click", () => copy(curl(this.#pricesAddress())));
  }

  /** Shows what is chosen, and applies theme and density to the document. */
  apply() {
    for (const input of this.#menu.querySelectorAll("input")) {
      input.checked = preferences[/** @type {"theme"} */ (input.name)] === input.value;
    }
    set(document.documentElement, "data-theme", preferences.theme);
    set(document.documentElement, "data-density", preferences.density);
  }

  #export() {
    const { pairs, columns: shown } = this.#content();
    // The last day is a drawing.
    const columns = shown.filter(({ kind }) => kind !== "day");
    const context = this.#shell.context();
    const rows = pairs.map((pair) => columns.map((column) => plainText(pair, column, context)));
    const names = columns.map(({ id }) => id.replace(":", "_"));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([toCsv([names, ...rows])], { type: "text/csv" }));
    link.download = "prices.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  /** Returns the URL of the prices that match the filters; filters that the API lacks are left out. */
  #pricesAddress() {
    const { place } = this.#shell;
    const query = new URLSearchParams();
    for (const exchange of this.#shell.chosenExchanges()) query.append("exchange", exchange);
    for (const quote of place.quotes) query.append("quote", quote);
    const text = query.toString();
    return address("prices") + (text && `?${text}`);
  }
}

/** Returns a shell command. @param {string} url */
export function curl(url) {
  return `curl '${url.replaceAll("'", "%27")}'`;
}

/** Copies a text to the clipboard and confirms it; shows the text if the browser refuses. @param {string} text */
export async function copy(text) {
  const said = find("#said");
  try {
    await navigator.clipboard.writeText(text);
    write(said, `Copied: ${text}`);
  } catch {
    write(said, text);
  }
  clearTimeout(clearing);
  clearing = setTimeout(() => write(said, ""), MESSAGE_DURATION);
}
