"""One WebSocket client."""

import asyncio

from starlette.websockets import WebSocket, WebSocketDisconnect

from server.hub import Hub

GOING_AWAY = 1001


async def stream(websocket: WebSocket, hub: Hub) -> None:
    """Sends every message of the hub, until the client leaves or the hub closes.

    At most once: a client sees by `previous` that it missed one, and connects again for a snapshot.
    """
    await websocket.accept()
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(_send(websocket, hub))
        await _left(websocket)
        sending.cancel()


async def _send(websocket: WebSocket, hub: Hub) -> None:
    try:
        async for message in hub.messages():
            await websocket.send_text(message)
        await websocket.close(GOING_AWAY, "the server is shutting down")
    except WebSocketDisconnect:
        return  # _left hears of it as well


async def _left(websocket: WebSocket) -> None:
    """Returns when the connection is closed, by either side. What the client says is not used."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
