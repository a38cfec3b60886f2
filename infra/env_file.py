"""Read a file of settings such as .env, for make. Runs on the system's Python, before all else.

    python3 infra/env_file.py .env

make, the shell and docker compose all read this file, each by rules of its own. A line that they
would read differently is refused by its number and its name, never with its value. Prints READ and
then NAME=value for each line, with one blank between; a value has no blanks.
"""

import re
import sys

# What a shell, make or docker compose may change: $ # quotes \ ` ; & | < > ( ) ~ and blanks.
BARE = r"[^\s$#'\"\\`;&|<>()~]*"
# Literal in a shell and in docker compose; make never sees the quotes.
QUOTED = r"'[^\s'\\]*'"
LINE = re.compile(f"([A-Z][A-Z0-9_]*)=(?:({BARE})|({QUOTED}))")

ADVICE = (
    "make, the shell and docker compose read this differently. Put a value with $ # & ; and the like "
    "between single quotes, without blanks, ' or \\; a comment needs a line of its own"
)


class EnvFileError(ValueError):
    """A line that can't be read by all. The message has its number and its name."""


def settings_in(text: str) -> "dict[str, str]":
    """Return the settings; the last line of a name counts."""
    settings = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.fullmatch(line)
        if found is None:
            name = re.match(r"\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=", line)
            shown = " " + name.group(1) if name else ""
            raise EnvFileError(f"line {number}{shown}: {ADVICE}")
        settings[found.group(1)] = (
            found.group(2) if found.group(2) is not None else found.group(3)[1:-1]
        )
    return settings


def main() -> int:
    path = sys.argv[1]
    try:
        with open(path, encoding="utf-8", newline="") as file:
            settings = settings_in(file.read())
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    print("READ", *(f"{name}={value}" for name, value in settings.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
