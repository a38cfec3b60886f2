"""Drive a bare WebSocket server: the same number of bytes as the project's server, at the same rate.

Every batch, clients that ask for symbols get a message of SMALL bytes; all others get one of LARGE bytes.
The result is like the batch writer's: {"batch": seconds since the epoch when its first byte was sent}.
"""

import asyncio
import sys
import time
from collections.abc import Callable

Broadcast = Callable[[str, str], None]
"""Sends one text to the clients of all symbols, and one to those of ten."""


async def drive(broadcast: Broadcast, rate: float, large: int, small: int) -> dict[int, float]:
    """Send `rate` batches per second until the input ends."""
    began: dict[int, float] = {}
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    print("ready", flush=True)
    batch = 0
    while not ended.done():
        batch += 1
        began[batch] = time.time()
        broadcast(message(batch, large), message(batch, small))
        await asyncio.sleep(max(0.0, began[batch] + 1 / rate - time.time()))
    return began


def message(batch: int, size: int) -> str:
    head = f'{{"type":"changes","id":"bare-{batch}","previous":"bare-{batch - 1}","prices":["'
    return f'{head}{"x" * (size - len(head) - 3)}"]}}'
