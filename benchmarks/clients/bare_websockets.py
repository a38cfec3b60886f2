"""Serve benchmarks.clients.bare with `broadcast` of websockets.

python -m benchmarks.clients.bare_websockets PORT RATE LARGE SMALL
"""

import json
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.clients.bare import drive, message


async def run(port: int, rate: float, large: int, small: int) -> dict[int, float]:
    everything: set[ServerConnection] = set()
    ten: set[ServerConnection] = set()

    async def handle(client: ServerConnection) -> None:
        assert client.request is not None
        clients = ten if "symbol" in client.request.path else everything
        await client.send(message(0, small))
        clients.add(client)
        try:
            await client.wait_closed()
        finally:
            clients.discard(client)

    def send(to_all: str, to_ten: str) -> None:
        broadcast(everything, to_all)
        broadcast(ten, to_ten)

    async with serve(handle, "127.0.0.1", port, compression=None):
        return await drive(send, rate, large, small)


def main() -> None:
    port, rate, large, small = sys.argv[1:]
    began = uvloop.run(run(int(port), float(rate), int(large), int(small)))
    print(json.dumps(began))


if __name__ == "__main__":
    main()
