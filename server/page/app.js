// Entry point of the page: the stream updates the cards and the table; search and tabs filter it.

import { Card } from "./card.js";
import { now } from "./clock.js";
import { add, loadExchanges } from "./exchanges.js";
import { moment } from "./format.js";
import { waitForAccess } from "./key.js";
import { follow } from "./stream.js";
import { Table } from "./table.js";
import { showUnreadable } from "./unreadable.js";

const search = document.querySelector("#search");
const tabs = document.querySelector("#tabs");
const shown = document.querySelector("#shown");
const more = document.querySelector("#more");
const connection = document.querySelector("#connection");
const key = document.querySelector("#key");
const banner = document.querySelector("#unreadable");

const table = new Table(document.querySelector("tbody"), ({ rows, matching }) => {
  shown.textContent = matching ? `${rows} of ${matching} symbols` : "No symbol matches";
  more.hidden = rows === matching;
});
const places = {
  template: document.querySelector("#exchange"),
  cards: document.querySelector(".feeds"),
  tabs,
  banners: banner,
};
const cards = new Map();

function updateAge() {
  for (const card of cards.values()) card.updateAge(now());
  table.updateAge();
}

await waitForAccess(key);
for (const exchange of await loadExchanges()) {
  cards.set(exchange, new Card(add(exchange, places)));
}
follow({
  snapshot(prices) {
    for (const [exchange, card] of cards) card.replace(of(exchange, prices));
    table.replace(prices);
    updateAge();
  },
  changes(prices) {
    for (const [exchange, card] of cards) card.update(of(exchange, prices));
    table.update(prices);
  },
  unreadable(exchanges) {
    showUnreadable(banner, exchanges);
  },
  state(name, since) {
    connection.dataset.state = name;
    // Prices are grey unless they are live.
    document.documentElement.dataset.connection = name;
    // Written only when it changes, because screen readers announce it.
    const text = name === "away" ? `Postgres unavailable since ${moment(since, now())}` : name;
    if (connection.textContent !== text) connection.textContent = text;
    // The server may have restarted with another key.
    if (name === "reconnecting") waitForAccess(key);
  },
});
setInterval(updateAge, 1000);

search.addEventListener("input", () => table.filter({ search: search.value }));
more.addEventListener("click", () => table.showMore());
tabs.addEventListener("click", ({ target }) => {
  const tab = target.closest("button");
  if (tab === null) return;
  for (const other of tabs.children) other.setAttribute("aria-pressed", other === tab);
  table.filter({ exchange: tab.dataset.exchange });
});

function of(exchange, prices) {
  return prices.filter((price) => price.exchange === exchange);
}
