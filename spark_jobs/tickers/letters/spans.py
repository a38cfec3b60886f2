"""Count dead letters in spans: their number and cause, the messages, and the positions in each message.

Consecutive messages with dead letters of the same cause at the same positions are one span. When an
exchange renames a field, every item of every message is a dead letter; a day of that is a few hundred
spans.

A span lies within one block of offsets. So the sums over a block do not depend on the batches, and where
Kafka's oldest record cuts a block, only that block can't be compared or read again.
"""

from collections.abc import Iterable
from typing import NamedTuple

BLOCK = 1000
"""Number of offsets in a block. A constraint of the table dead_letter_spans repeats it."""

EVERY_ITEM = None
"""Positions if every item of the messages is a dead letter of the cause, however many there are."""
THE_MESSAGE = b""
"""Positions if the items can't be told apart: each message as a whole is a dead letter."""


class Span(NamedTuple):
    """A row of the table dead_letter_spans.

    `positions` are the same in each message: EVERY_ITEM, THE_MESSAGE, or bits.
    """

    topic: str
    partition: int
    cause: str
    first_offset: int
    last_offset: int
    letters: int
    positions: bytes | None

    @property
    def offsets(self) -> range:
        return range(self.first_offset, self.last_offset + 1)

    @property
    def is_by_position(self) -> bool:
        """Whether only the items at some positions are dead letters."""
        return bool(self.positions)

    @property
    def letters_per_message(self) -> int:
        """The number of dead letters in each message, unless `positions` is EVERY_ITEM."""
        return self.letters // len(self.offsets)


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return the same dead letters in as few spans as possible, in order."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: span[:4]):
        if found and _continues(found[-1], span):
            last = found.pop()
            span = span._replace(
                first_offset=last.first_offset, letters=last.letters + span.letters
            )
        found.append(span)
    return found


def _continues(span: Span, following: Span) -> bool:
    return (
        span[:3] == following[:3]
        and span.last_offset + 1 == following.first_offset
        and following.first_offset % BLOCK != 0
        and span.positions == following.positions
    )


def to_bits(positions: Iterable[int]) -> bytes:
    """Return bytes for Postgres's get_bit: bit `n % 8` of byte `n // 8` is 1 for each position n."""
    bits = bytearray()
    for position in positions:
        byte, bit = divmod(position, 8)
        if byte >= len(bits):
            bits.extend(bytes(byte + 1 - len(bits)))
        bits[byte] |= 1 << bit
    return bytes(bits)


def from_bits(bits: bytes) -> list[int]:
    """Return the positions of the bits that are 1, in order."""
    return [
        8 * number + bit for number, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1
    ]
