// The banner: one line per exchange of which most items can't be read; its prices may be old.

/** `exchanges` are those of the stream's message; an empty list hides every line. */
export function showUnreadable(banner, exchanges) {
  for (const line of banner.children) {
    const found = exchanges.find(({ exchange }) => exchange === line.dataset.exchange);
    line.hidden = !found;
    if (!found) continue;
    write(line.querySelector(".share"), `${Math.round(100 * found.share)} %`);
    write(line.querySelector(".cause"), found.cause);
  }
}

/** Writes only changed text, because screen readers announce it. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
