"""Define what is examined: the running stack, or the services that the settings name."""

from dataclasses import dataclass

from core.settings import Settings
from infra.stack import Stack


@dataclass(frozen=True, slots=True)
class Target:
    """`stack` is None if no stack is up."""

    settings: Settings
    stack: Stack | None = None

    def remedy(self, program: str, setting: str) -> str:
        """Return what to do if a service is unavailable."""
        if self.stack:
            return f"make status shows its state, and {self.stack.log_folder}/{program}.log has the reason"
        return f"start it (the local stack: make up), or correct {setting}"
