"""Relay connections between a client and the server, and abort each after a random time."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

LONGEST = 0.4
"""Maximum duration of a connection, in seconds."""


class CuttingRelay:
    """Relay on `port`. `cuts` counts aborted connections; a cut may be in the middle of a message."""

    def __init__(self, to_port: int, random: Random) -> None:
        self.port = 0
        self.cuts = 0
        self._to_port = to_port
        self._random = random

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._to_port)
        try:
            async with asyncio.timeout(self._random.uniform(0, LONGEST)):
                await asyncio.gather(copy(reader, to_server), copy(from_server, writer))
        except TimeoutError:
            self.cuts += 1
        except ConnectionError:
            # The client closed the connection.
            pass
        finally:
            to_server.transport.abort()
            writer.transport.abort()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()


@contextmanager
def cutting_relay(to_port: int, random: Random) -> Iterator[CuttingRelay]:
    relay = CuttingRelay(to_port, random)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(relay.pass_on, "127.0.0.1", 0))
    relay.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def end() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        yield relay
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
