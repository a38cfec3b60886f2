"""Fills the raw topics, as the extractors do but all at once."""

import time

from benchmarks.sending import producer, send
from benchmarks.ticks import TICKS_A_SECOND, messages


def fill(bootstrap_servers: str, ticks: int) -> int:
    """At least so many ticks, the newest a second old. Returns how many it were."""
    to = producer(bootstrap_servers)
    sent = 0
    for message in messages(-(-ticks // TICKS_A_SECOND), time.time_ns() // 1000):
        send(to, message)
        to.poll(0)
        sent += message.ticks
    to.flush()
    return sent
