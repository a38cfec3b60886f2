"""What an exchange wrote, compared with what a topic holds."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.ledger import Identity, Written

BREAK_MARGIN = 1_000_000
"""Microseconds: of what was written so shortly before a break, part may be lost with it."""


def identities(items: Iterable[dict[str, Any]]) -> list[Identity]:
    """Of the items of a topic, as the ledger has them."""
    return [_identity(item) for item in items]


def _identity(item: dict[str, Any]) -> Identity:
    if "unreadable" in item:
        return str(item["unreadable"])
    if "subject" in item:
        return item["subject"], int(item["data"]["sequence"])
    return item["s"], item["E"]


def surely_received(connection: Written) -> list[Identity]:
    """Frames of a connection that ended in an orderly way, or until a second before it was broken."""
    if connection.ending == "closed":
        end = connection.ended_at
    elif connection.ending == "broken":
        end = (connection.ended_at or 0) - BREAK_MARGIN
    else:
        return []
    return [
        identity
        for frame in connection.frames
        if frame.written_at <= (end or 0)
        for identity in frame.identities
    ]


def assert_each_once(connections: Iterable[Written], items: Iterable[dict[str, Any]]) -> None:
    """What was surely received is there, nothing that was not written is, and nothing twice.

    For connections that follow each other: what the exchange wrote twice counts twice.
    """
    found = Counter(identities(items))
    written = [
        identity for each in connections for frame in each.frames for identity in frame.identities
    ]
    sure = [identity for each in connections for identity in surely_received(each)]
    assert not Counter(sure) - found, "missing"
    assert not found - Counter(written), "too many"
