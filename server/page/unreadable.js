// The banner: a line for each exchange of which most can't be read, so that its prices may be old.

/** `exchanges` as the stream lists them; none hides every line. */
export function showUnreadable(banner, exchanges) {
  for (const line of banner.children) {
    const found = exchanges.find(({ exchange }) => exchange === line.dataset.exchange);
    line.hidden = !found;
    if (!found) continue;
    write(line.querySelector(".share"), `${Math.round(100 * found.share)} %`);
    write(line.querySelector(".cause"), found.cause);
  }
}

/** Written only when it changes: it is read aloud. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
