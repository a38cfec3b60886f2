// Comma-separated values (RFC 4180).

/** @param {string[][]} rows the first one has the names */
export function toCsv(rows) {
  return rows.map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

/** A text that a spreadsheet would run as a formula gets an apostrophe; exchanges choose the names of currencies. @param {string} text */
function field(text) {
  const isFormula = /^[=+@\t\r]/.test(text) || (text.startsWith("-") && Number.isNaN(Number(text)));
  const safe = isFormula ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
