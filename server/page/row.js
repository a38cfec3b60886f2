// One row of the table. Only changed text is written to the document.

import { title } from "./exchanges.js";
import { age, amount, change, percent, rounded } from "./format.js";

// Milliseconds after which a price is grey.
const STALE = 60_000;

const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

export class Row {
  constructor(price) {
    this.element = document.createElement("tr");
    this.element.dataset.exchange = price.exchange;
    this.element.dataset.symbol = price.symbol;

    const symbol = document.createElement("th");
    symbol.scope = "row";
    const exchange = document.createElement("small");
    exchange.textContent = title(price.exchange);
    // Isolated, because a name in a right-to-left script would move what follows it.
    const name = document.createElement("bdi");
    name.textContent = price.symbol;
    symbol.append(name, " ", exchange);
    this.element.append(symbol);

    this.cells = {};
    for (const name of ["price", "change", "bid", "ask", "volume", "age"]) {
      this.cells[name] = document.createElement("td");
      this.cells[name].className = ["price", "change"].includes(name) ? name : `${name} wide`;
      this.element.append(this.cells[name]);
    }
    this.cells.price.addEventListener("pointerenter", () => this.#showSource());
    this.update(price);
  }

  update(price) {
    const before = this.price;
    this.price = price;
    const percentage = change(price);
    this.#write("price", amount(price.price));
    this.#write("change", percent(percentage));
    this.#write("bid", amount(price.bid));
    this.#write("ask", amount(price.ask));
    this.#write("volume", rounded(price.quote_volume_24h));
    this.cells.change.dataset.direction = direction(percentage ?? 0);
    if (before) this.#flash(direction(Number(price.price) - Number(before.price)));
  }

  updateAge(now) {
    const milliseconds = now - Date.parse(this.price.received_at);
    this.#write("age", age(milliseconds));
    this.element.dataset.stale = milliseconds > STALE;
  }

  /** Shows the position of the price in Kafka as a tooltip. */
  async #showSource() {
    const { exchange, symbol } = this.price;
    const answer = await fetch(`api/prices/${exchange}/${encodeURIComponent(symbol)}/source`);
    if (!answer.ok) return;
    const source = await answer.json();
    this.cells.price.title =
      `${source.price} came from ${source.endpoint ?? "an unknown endpoint"}: ${source.topic}, ` +
      `partition ${source.partition}, offset ${source.offset}, position ${source.position}`;
  }

  #write(name, text) {
    if (this.cells[name].textContent !== text) this.cells[name].textContent = text;
  }

  #flash(direction) {
    if (direction === "none" || reducedMotion.matches) return;
    this.cells.price.animate(
      { backgroundColor: [`var(--flash-${direction})`, "transparent"] },
      { duration: 1200, easing: "ease-out" },
    );
  }
}

function direction(difference) {
  return difference > 0 ? "up" : difference < 0 ? "down" : "none";
}
