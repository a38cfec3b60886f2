import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from server.hub import Hub
from server.live_prices import Reading
from tests.live_job import price

DEADLINE = 5.0


def reading(batch_id: int, previous: int | None, **amounts: str) -> Reading:
    prices = [
        price("binance", symbol, amount, batch_id=batch_id)._replace(
            json=json.dumps(row(symbol, amount))
        )
        for symbol, amount in amounts.items()
    ]
    return Reading(batch_id, previous, prices)


def row(symbol: str, amount: str) -> dict[str, str]:
    return {"symbol": symbol, "price": amount}


async def take(messages: AsyncIterator[str]) -> dict[str, Any]:
    return dict(json.loads(await asyncio.wait_for(anext(messages), DEADLINE)))


def test_a_client_gets_a_snapshot_and_then_each_change() -> None:
    async def scenario() -> list[dict[str, Any]]:
        hub = Hub()
        hub.publish(reading(1, None, BTC="1", ETH="2"))
        messages = hub.messages()
        taken = [await take(messages)]
        for batch_id in (2, 3):
            hub.publish(reading(batch_id, batch_id - 1, BTC=str(batch_id)))
            taken.append(await take(messages))
        return taken

    assert asyncio.run(scenario()) == [
        {
            "type": "snapshot",
            "id": 1,
            "prices": [row("BTC", "1"), row("ETH", "2")],
        },
        {"type": "changes", "id": 2, "previous": 1, "prices": [row("BTC", "2")]},
        {"type": "changes", "id": 3, "previous": 2, "prices": [row("BTC", "3")]},
    ]


def test_a_client_that_comes_before_the_first_reading_waits_for_it() -> None:
    async def scenario() -> dict[str, Any]:
        hub = Hub()
        first = asyncio.ensure_future(take(hub.messages()))
        await asyncio.sleep(0)
        assert not first.done()
        hub.publish(reading(0, None))
        return await first

    assert asyncio.run(scenario()) == {"type": "snapshot", "id": 0, "prices": []}


def test_a_client_that_falls_behind_gets_the_latest_version_of_what_it_missed() -> None:
    async def scenario() -> dict[str, Any]:
        hub = Hub()
        hub.publish(reading(1, None, BTC="1", ETH="2", SOL="3"))
        messages = hub.messages()
        await take(messages)
        hub.publish(reading(2, 1, BTC="4"))
        hub.publish(reading(3, 2, ETH="5"))
        hub.publish(reading(4, 3, BTC="6"))
        return await take(messages)

    assert asyncio.run(scenario()) == {
        "type": "changes",
        "id": 4,
        "previous": 1,
        "prices": [row("BTC", "6"), row("ETH", "5")],
    }


def test_everybody_gets_a_snapshot_when_all_was_read_anew() -> None:
    async def scenario() -> dict[str, Any]:
        hub = Hub()
        hub.publish(reading(9, None, BTC="1", ETH="2"))
        messages = hub.messages()
        await take(messages)
        hub.publish(reading(9, None, SOL="3"))
        return await take(messages)

    assert asyncio.run(scenario()) == {
        "type": "snapshot",
        "id": 9,
        "prices": [row("SOL", "3")],
    }


def test_all_streams_end_when_the_hub_closes() -> None:
    async def rest(messages: AsyncIterator[str]) -> list[str]:
        return [message async for message in messages]

    async def scenario() -> list[list[str]]:
        hub = Hub()
        streams = [asyncio.ensure_future(rest(hub.messages())) for _ in range(3)]
        await asyncio.sleep(0)
        hub.close()
        return await asyncio.wait_for(asyncio.gather(*streams), DEADLINE)

    assert asyncio.run(scenario()) == [[], [], []]
