"""Upper bound for Python: only receive KuCoin's frames and parse them with orjson.

receive.py websocket-client|websockets|picows ADDRESS: run until it is stopped.

The last two run in asyncio, on uvloop. Each is used as in its documentation; picows only has callbacks.
"""

import sys
import urllib.request
from asyncio import Future

import orjson

SUBSCRIBE = '{"id":"1","type":"subscribe","topic":"/market/ticker:all","response":true}'


def endpoint(address: str) -> str:
    request = urllib.request.Request(f"http://{address}/api/v1/bullet-public", method="POST")
    with urllib.request.urlopen(request) as answer:
        data = orjson.loads(answer.read())["data"]
    return f"{data['instanceServers'][0]['endpoint']}?token={data['token']}"


def websocket_client(address: str) -> None:
    import websocket

    socket = websocket.create_connection(endpoint(address), skip_utf8_validation=True)
    socket.send(SUBSCRIBE)
    while True:
        orjson.loads(socket.recv())


def websockets(address: str) -> None:
    import uvloop
    from websockets.asyncio.client import connect

    async def run() -> None:
        async with connect(endpoint(address), compression=None) as socket:
            await socket.send(SUBSCRIBE)
            async for text in socket:
                orjson.loads(text)

    uvloop.run(run())


def picows(address: str) -> None:
    import uvloop
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.TEXT:
                orjson.loads(frame.get_payload_as_memoryview())

    async def run() -> None:
        transport, _ = await ws_connect(Listener, endpoint(address))
        transport.send(WSMsgType.TEXT, SUBSCRIBE.encode())
        await Future()

    uvloop.run(run())


WAYS = {"websocket-client": websocket_client, "websockets": websockets, "picows": picows}


def main() -> None:
    way, address = sys.argv[1:]
    WAYS[way](address)


if __name__ == "__main__":
    main()
