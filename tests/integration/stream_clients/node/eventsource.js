// Prints each message of a stream, one per line, with eventsource: node eventsource.js URL

import { EventSource } from "eventsource";

const source = new EventSource(process.argv[2]);
source.addEventListener("message", ({ data }) => console.log(data));
