// Prints each message of a stream, one per line, with ws: node ws.js URL

import WebSocket from "ws";

const socket = new WebSocket(process.argv[2], { maxPayload: 64 * 1024 * 1024 });
socket.on("message", (data) => console.log(data.toString()));
socket.on("close", () => process.exit());
