"""Measure what the page costs a browser: processor time, long tasks, memory, first rows, layout shifts.

    make benchmark-page

Runs a separate stack, the server, one process that commits 4,000 ticks per second as the live job does,
and one page of 1440 x 900 in Chromium, without a graphics card. Each round is a new page. `page` is the main
thread of the page, `browser` all processes of Chromium, in shares of a core. Memory is the page's heap after
a garbage collection.
"""

import argparse
import time

import psutil
from playwright.sync_api import Browser, CDPSession, sync_playwright

from benchmarks.harness.report import publish, spreads
from benchmarks.served_page import installed_browser, served_page

SETTLING = 8.0
"""Seconds to wait after the first rows, before the measurement begins."""

ROWS = "#scroller tr[data-pair]"

OBSERVE = f"""
window.measured = {{ longTasks: [], shift: 0, firstRows: null }};
new PerformanceObserver((list) => {{
  for (const task of list.getEntries()) window.measured.longTasks.push(task.duration);
}}).observe({{ type: "longtask" }});
new PerformanceObserver((list) => {{
  for (const entry of list.getEntries()) window.measured.shift += entry.value;
}}).observe({{ type: "layout-shift", buffered: true }});
const timer = setInterval(() => {{
  if (!document.querySelector("{ROWS}")) return;
  window.measured.firstRows = performance.now();
  clearInterval(timer);
}}, 5);
"""

Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of the page in a browser")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    path = installed_browser()
    with served_page() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        rounds = [measured(browser, address, arguments.seconds) for _ in range(arguments.rounds)]
    conditions = (
        f"median (smallest to largest) of {len(rounds)} pages, {arguments.seconds:.0f} s each"
    )
    publish("page", conditions, spreads("one page", rounds, shown))


def measured(browser: Browser, address: str, seconds: float) -> Figures:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.add_init_script(OBSERVE)
    page.goto(address)
    page.locator(ROWS).first.wait_for(state="attached")
    page.wait_for_timeout(SETTLING * 1000)
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    loading = page.evaluate("window.measured.longTasks.splice(0).length")
    before, began = usage(devtools), time.monotonic()
    page.wait_for_timeout(seconds * 1000)
    after, elapsed = usage(devtools), time.monotonic() - began
    figures = {
        "first rows, ms": page.evaluate("window.measured.firstRows"),
        "layout shift": page.evaluate("window.measured.shift"),
        "long tasks while loading": loading,
        "long tasks a minute": page.evaluate("window.measured.longTasks.length") * 60 / seconds,
        "page, % of a core": 100 * (after["page"] - before["page"]) / elapsed,
        "browser, % of a core": 100 * (after["browser"] - before["browser"]) / elapsed,
        "heap, MB": after["heap"],
        "heap growth, MB a minute": (after["heap"] - before["heap"]) * 60 / seconds,
    }
    page.close()
    return figures


def usage(devtools: CDPSession) -> Figures:
    """Return seconds of processor time, and the heap in MB after a garbage collection."""
    devtools.send("HeapProfiler.collectGarbage")
    metrics = {
        each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]
    }
    chromium = [
        each for each in psutil.Process().children(recursive=True) if "chrom" in each.name()
    ]
    return {
        "page": metrics["TaskDuration"],
        "browser": sum(sum(each.cpu_times()[:2]) for each in chromium),
        "heap": metrics["JSHeapUsedSize"] / 1e6,
    }


def shown(value: float) -> str:
    # From 99.5 on, .2g would show 1e+02.
    return f"{value:,.0f}" if abs(value) >= 99.5 else f"{value:.2g}"


if __name__ == "__main__":
    main()
