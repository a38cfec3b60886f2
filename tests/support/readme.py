"""Command blocks of the README."""

import re
from typing import NamedTuple

from infra.paths import PROJECT

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    text: str


def section(heading: str) -> list[Block]:
    """Return the code blocks below a heading, up to the next one of any level."""
    _, found, rest = (PROJECT / "README.md").read_text().partition(f"# {heading}\n")
    assert found, f"README.md has no heading {heading!r}"
    own = re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return [Block(*match) for match in BLOCK.findall(own)]
