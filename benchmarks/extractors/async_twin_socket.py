"""Receive frames for the asyncio twin, with KuCoin's session on picows and a callback per frame."""

import asyncio
import time
from collections.abc import Callable

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from exchanges.exchange import Endpoint, Session
from extractors.receive.notices import Frame, now_us

WAKE_INTERVAL = 0.25
"""Seconds between two checks for due pings and for silence."""

CONNECTION = 1


class Receiver(WSListener):
    """Collects frames and passes them on together, `collect_seconds` after the first."""

    def __init__(
        self,
        session: Session,
        host: str,
        collect_seconds: float,
        hand_on: Callable[[list[Frame]], None],
    ) -> None:
        self._session = session
        self._host = host
        self._collect_seconds = collect_seconds
        self._hand_on = hand_on
        self._frames: list[Frame] = []
        self._loop = asyncio.get_running_loop()
        self.last_ticker = time.monotonic()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        if frame.msg_type != WSMsgType.TEXT:
            return
        data, at = frame.get_payload_as_bytes(), now_us()
        raw_data = self._session.receive(data)
        if not raw_data:
            self.send_due(transport)
            return
        received = Frame(CONNECTION, at, self._host, raw_data, len(data))
        if received.has_ticker:
            self.last_ticker = time.monotonic()
        if not self._frames:
            self._loop.call_later(self._collect_seconds, self.flush)
        self._frames.append(received)

    def send_due(self, transport: WSTransport) -> None:
        for text in self._session.due(time.monotonic()):
            transport.send(WSMsgType.TEXT, text.encode())

    def flush(self) -> None:
        frames, self._frames = self._frames, []
        if frames:
            self._hand_on(frames)


async def listen(
    endpoint: Endpoint, make: Callable[[], Receiver], silence_limit: float, stop: asyncio.Event
) -> None:
    """Receive until `stop` is set or the exchange closes. Raise TimeoutError after `silence_limit`."""
    transport, receiver = await ws_connect(make, endpoint.url)
    while not (stop.is_set() or transport.is_disconnected):
        receiver.send_due(transport)
        if time.monotonic() - receiver.last_ticker > silence_limit:
            raise TimeoutError(f"no ticker for {silence_limit:g} s")
        await asyncio.sleep(WAKE_INTERVAL)
    transport.disconnect()
    receiver.flush()
