"""Compare the threaded extractor with an asyncio twin.

    make benchmark-async-twin                      25,000 frames/s, three rounds
    make benchmark-async-twin RATE=2000 SECONDS_LONG=20
    make benchmark-async-twin RATE=0               as fast as each reads them

Loads and figures are those of benchmarks/extractor.py. The twin is
benchmarks/extractors/async_twin_process.py. Receiving and parsing alone are measured too, with the
extractor's library and two asyncio libraries. The twin uses picows, the fastest.
"""

import os

from benchmarks.extractor import BARE, EXTRACTOR, arguments
from benchmarks.extractors.load import source_of
from benchmarks.extractors.result import row
from benchmarks.extractors.round import Contestant, rounds
from benchmarks.extractors.topic import arrays
from benchmarks.harness.measuring import TWIN_PYTHON, own_stack
from benchmarks.harness.report import publish
from exchanges.kucoin import KUCOIN

TWIN = Contestant(
    "its twin in asyncio",
    [TWIN_PYTHON, "-m", "benchmarks.extractors.async_twin_process"],
    KUCOIN.raw_topic,
    arrays,
)
RECEIVERS = [
    Contestant(
        f"{library} and orjson alone",
        [TWIN_PYTHON, "benchmarks/rivals/receive.py", library, "{source}"],
    )
    for library in ("websockets", "picows")
]

RECEIVER_SECONDS = 8.0


def main() -> None:
    load, number = arguments("The extractor beside its twin in asyncio")
    with own_stack("async_twin") as stack, source_of(load, dict(os.environ)) as source:
        results = rounds([EXTRACTOR, TWIN], load, stack, source, number)
        brief = load._replace(seconds=min(load.seconds, RECEIVER_SECONDS))
        results |= rounds([BARE, *RECEIVERS], brief, stack, source, 1)
    publish(
        "async_twin",
        f"{load}; {number} rounds in turn: median (least to most); receiving alone: once, "
        f"{brief.seconds:g} s",
        [row(name, each) for name, each in results.items()],
    )


if __name__ == "__main__":
    main()
