"""Send the same number of bytes to the same clients from a bare websockets server, as an upper bound.

python -m benchmarks.clients.bare_websockets PORT LARGE SMALL: run until its input ends, then print one line
of JSON like the batch writer's: {"batch": seconds since the epoch when its first byte was sent}. With each
batch, clients that ask for symbols get a message of SMALL bytes; all others get one of LARGE bytes.
"""

import asyncio
import json
import sys
import time

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.jobs.batch_writer import BATCHES_A_SECOND


async def run(port: int, large: int, small: int) -> dict[int, float]:
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

    began: dict[int, float] = {}
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    async with serve(handle, "127.0.0.1", port, compression=None):
        print("ready", flush=True)
        batch = 0
        while not ended.done():
            batch += 1
            began[batch] = time.time()
            broadcast(everything, message(batch, large))
            broadcast(ten, message(batch, small))
            await asyncio.sleep(max(0.0, began[batch] + 1 / BATCHES_A_SECOND - time.time()))
    return began


def message(batch: int, size: int) -> str:
    head = f'{{"type":"changes","id":"bare-{batch}","previous":"bare-{batch - 1}","prices":["'
    return f'{head}{"x" * (size - len(head) - 3)}"]}}'


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(*map(int, sys.argv[1:])))))
