"""Run the benchmarks in SIZES, most at reduced sizes, in up to 45 minutes, and write docs/benchmarks.md.

Not included: latency of all jobs, latency with the backfill or with the upkeep, and comparisons of
versions.

make benchmarks
"""

import subprocess
import sys
import time

from benchmarks.document import write

SIZES = {
    "backlog": "--ticks 4000000",
    "latency": "--seconds 60",
    "whole_way": "--seconds 60",
    "streams": "--seconds 15",
    "stream_bytes": "",
    "page": "--seconds 20",
    "lighthouse": "--rounds 3",
    "growth": "--seconds 10",
    "cluster": "--ticks 3000000 --runs 1",
    "extractor": "--rounds 1",
    "async_twin": "--rounds 1",
    "batch_seconds": "--seconds 10",
    "lake": "--ticks 2000000",
    "history": "--ticks 2000000",
    "ticker_upkeep": "--minutes 10",
    "upsert": "--rounds 100",
    "table_size": "--minutes 3",
}


def main() -> int:
    """Run all benchmarks in SIZES, even if one fails. Return 1 if any failed."""
    failed = []
    for name, size in SIZES.items():
        began = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}", *size.split()]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"{name}: {(time.monotonic() - began) / 60:.1f} minutes\n", flush=True)
    write()
    if failed:
        print(
            f"failed: {', '.join(failed)}; the document shows their last successful run",
            file=sys.stderr,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
