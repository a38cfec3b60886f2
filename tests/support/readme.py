"""Command blocks of the README."""

import re
from itertools import takewhile
from typing import NamedTuple

from infra.paths import PROJECT

# Blocks are matched whole, because a comment in one looks like a heading.
BLOCK_OR_HEADING = re.compile(r"^```(\w*)\n(.*?)^```$|^#+ ", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    text: str


def section(heading: str) -> list[Block]:
    """Return the code blocks below a heading, up to the next one of any level."""
    _, found, rest = (PROJECT / "README.md").read_text().partition(f"# {heading}\n")
    assert found, f"README.md has no heading {heading!r}"
    own = takewhile(lambda each: each[0].startswith("```"), BLOCK_OR_HEADING.finditer(rest))
    return [Block(*each.groups()) for each in own]
