// Where a price came from: its Kafka message, and the command that prints the exchange's own text.

import { get, pathOf } from "../api.js";
import { now } from "../clock.js";
import { element } from "../dom.js";
import { title } from "../exchanges.js";
import { moment } from "../format.js";
import { preferences } from "../preferences.js";
import { copy } from "./options.js";

/** @import { Side } from "../types.js" */

/** Returns an element that reads the source whenever it is opened. @param {Side} side */
export function sourceOf(side) {
  const content = element("div", { role: "status" });
  const details = element(
    "details",
    { class: "source", "data-exchange": side.exchange },
    element("summary", {}, `Where ${title(side.exchange)}'s price came from`),
    content,
  );
  details.addEventListener("toggle", async () => {
    if (!details.open) return;
    const source = await get(`prices/${pathOf(side)}/source`);
    content.replaceChildren(
      ...(source
        ? described(source)
        : ["The source can't be read now. Close and open it to try again."]),
    );
  });
  return details;
}

/** @param {any} source of the API */
function described(source) {
  const rows = [
    ["Price", source.price],
    ["Host", source.endpoint ?? "unknown"],
    ["Topic", source.topic],
    ["Partition", source.partition],
    ["Offset", source.offset],
    ["Position", source.position],
    ["Batch", source.batch_id],
    ["Received", moment(source.received_at, now(), preferences.zone)],
    ["Prices are", source.simulated ? "simulated" : "real"],
  ];
  const button = element("button", { type: "button", class: "plain" }, "Copy");
  button.addEventListener("click", () => copy(source.trace));
  return [
    element(
      "dl",
      {},
      ...rows.map(([name, value]) =>
        element("div", {}, element("dt", {}, name), element("dd", {}, String(value))),
      ),
    ),
    element(
      "p",
      {},
      "To print the exchange's original text, run this command where the pipeline runs:",
    ),
    element("p", { class: "command" }, element("code", {}, source.trace), button),
  ];
}
