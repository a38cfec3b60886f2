"""Serve the page with 4,000 simulated ticks per second, for the benchmarks that open it in a browser."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness.child import child
from benchmarks.harness.measuring import own_stack
from benchmarks.streams import server
from infra import browser, ports


@contextmanager
def served_page() -> Iterator[str]:
    """Run a separate stack, the server, and one process that commits as the live job does.

    Yield the page's address.
    """
    with own_stack("page") as stack:
        environment = os.environ | stack.environment()
        shared, own = ports.free_ports(2)
        with (
            server(stack.folder, environment, own, shared),
            child("benchmarks.jobs.batch_writer", environment=environment),
        ):
            yield f"http://127.0.0.1:{own}/"


def installed_browser() -> str:
    """Return the path of Chromium; exit without one."""
    path = browser.find()
    if path is None:
        raise SystemExit("no browser: run make browser")
    return path
