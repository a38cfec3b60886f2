"""Serve benchmarks.clients.bare with picows, a WebSocket server in Cython.

python -m benchmarks.rivals.bare_picows PORT RATE LARGE SMALL, in the environment of the asyncio twin.
"""

import json
import sys

import uvloop
from picows import WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from benchmarks.clients.bare import drive, message


class Client(WSListener):
    def __init__(self, clients: set[WSTransport], first: bytes) -> None:
        super().__init__()
        self._clients = clients
        self._first = first

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, self._first)
        self._clients.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._clients.discard(transport)


async def run(port: int, rate: float, large: int, small: int) -> dict[int, float]:
    everything: set[WSTransport] = set()
    ten: set[WSTransport] = set()

    def accept(request: WSUpgradeRequest) -> Client:
        clients = ten if b"symbol" in request.path else everything
        return Client(clients, message(0, small).encode())

    def send(to_all: str, to_ten: str) -> None:
        for clients, text in ((everything, to_all), (ten, to_ten)):
            data = text.encode()
            for client in clients:
                client.send(WSMsgType.TEXT, data)

    server = await ws_create_server(accept, "127.0.0.1", port)
    began = await drive(send, rate, large, small)
    server.close()
    return began


def main() -> None:
    port, rate, large, small = sys.argv[1:]
    began = uvloop.run(run(int(port), float(rate), int(large), int(small)))
    print(json.dumps(began))


if __name__ == "__main__":
    main()
