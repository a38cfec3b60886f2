// Load the exchanges and their titles from /api/feeds, and add a card, a tab and a banner for each.

const RETRY_DELAY = 2000;

const titles = new Map();

/** "kucoin" → "KuCoin"; returns the name itself until the titles are loaded. */
export function title(exchange) {
  return titles.get(exchange) ?? exchange;
}

/** Resolves to the names of the exchanges, in the server's order. Retries until the server answers. */
export async function loadExchanges() {
  for (;;) {
    try {
      const answer = await fetch("api/feeds?limit=0");
      if (answer.ok) {
        const { feeds } = await answer.json();
        for (const feed of feeds) titles.set(feed.exchange, feed.title);
        return feeds.map((feed) => feed.exchange);
      }
    } catch {
      // The server is unavailable: retry.
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
  }
}

/** Adds an exchange's card, tab and banner to the document, and returns the card. */
export function add(exchange, { template, cards, tabs, banners }) {
  const parts = template.content.cloneNode(true);
  for (const part of parts.children) part.dataset.exchange = exchange;
  for (const element of parts.querySelectorAll(".title")) element.textContent = title(exchange);
  const card = parts.querySelector("article");
  banners.append(parts.querySelector(".unreadable"));
  cards.append(card);
  tabs.append(parts.querySelector("button"));
  return card;
}
