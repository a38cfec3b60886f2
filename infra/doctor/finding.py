"""Define a finding: something that is wrong, and what to do about it."""

from typing import NamedTuple


class Finding(NamedTuple):
    problem: str
    remedy: str
