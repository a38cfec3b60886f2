"""Fill the raw topics as the extractors do, but all at once."""

import time

from benchmarks.harness.sending import producer, send
from benchmarks.harness.ticks import TICKS_A_SECOND, messages


def fill(bootstrap_servers: str, ticks: int) -> int:
    """Send at least `ticks` ticks, received up to the time of the call. Return how many were sent."""
    to = producer(bootstrap_servers)
    sent = 0
    for message in messages(-(-ticks // TICKS_A_SECOND), time.time_ns() // 1000):
        send(to, message)
        to.poll(0)
        sent += message.ticks
    to.flush()
    return sent
