"""From the exchange's send to a client, through everything: against a running `make demo`.

    .venv/bin/python -m benchmarks.whole_way [--seconds 30]

Of Binance's prices, because those carry the time at which the replay exchange sent them. A second
of the way is the extractor's: its batch is ready a second after its first frame, so a frame waits
for half a second on average.
"""

import argparse
import json
import time
from datetime import datetime
from statistics import quantiles

from websockets.sync.client import connect

from core.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description="Latency of the whole way, from send to client")
    parser.add_argument("--seconds", type=float, default=30)
    seconds = parser.parse_args().seconds
    settings = Settings.from_environment()
    url = f"ws://{settings.server_host}:{settings.server_port}/ws?exchange=binance"
    parts: dict[str, list[float]] = {"sent to received": [], "received to client": [], "in all": []}
    with connect(url, max_size=None, compression=None) as stream:
        stream.recv()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message = json.loads(stream.recv())
            now = time.time()
            for row in message.get("prices", ()):
                sent, received = (
                    datetime.fromisoformat(row[name]).timestamp()
                    for name in ("event_time", "received_at")
                )
                for part, took in zip(
                    parts, (received - sent, now - received, now - sent), strict=True
                ):
                    parts[part].append(took)
    print(f"{len(parts['in all'])} prices in {seconds:.0f} s{'':<4} p50    p95    p99  seconds")
    for part, all_took in parts.items():
        cuts = quantiles(all_took, n=100)
        p50, p95, p99 = (cuts[percent - 1] for percent in (50, 95, 99))
        print(f"{part:<22} {p50:>6.2f} {p95:>6.2f} {p99:>6.2f}")
    print("of which a frame waits up to 1 s for its batch, in the extractor")


if __name__ == "__main__":
    main()
