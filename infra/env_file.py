"""Read a settings file such as .env for make, on the system's Python, before the venv exists.

    python3 infra/env_file.py .env

make, the shell and docker compose all read this file, and their rules differ. A line that they would
read differently is an error; the message has the line's number and name, never its value. Prints READ
and then each NAME=value, separated by single spaces; values contain no spaces.
"""

import re
import sys

# Whitespace and control characters: a shell drops or interprets some of them.
INVISIBLE = r"\s\x00-\x1f\x7f-\x9f"
# Excludes characters that a shell, make or docker compose may interpret.
BARE = f"[^{INVISIBLE}$#'\"\\\\`;&|<>()~]*"
# Literal in a shell and in docker compose; make never sees the quotes.
QUOTED = f"'[^{INVISIBLE}'\\\\]*'"
LINE = re.compile(f"([A-Z][A-Z0-9_]*)=(?:({BARE})|({QUOTED}))")
BLANK = re.compile("[ \t]*(#[^\x00\r]*)?")

# A shell sets or refuses the first ones itself; make reads the others itself.
RESERVED = (
    *(
        "BASHOPTS",
        "EUID",
        "IFS",
        "LINENO",
        "OPTIND",
        "PPID",
        "RANDOM",
        "SECONDS",
        "SHELLOPTS",
        "UID",
    ),
    *("MAKEFILES", "MAKEFLAGS", "MFLAGS", "SHELL"),
)

ADVICE = (
    "make, the shell and docker compose read this differently. Put a value with $ # & ; and the like "
    "between single quotes, without spaces, ' or \\; put a comment on a separate line; save the file as "
    "UTF-8 without a byte order mark, with Unix line endings"
)


class EnvFileError(ValueError):
    """Raised for a line that its readers would read differently. The message has its number and name."""


def settings_in(text: str) -> "dict[str, str]":
    """Return the settings. If a name occurs twice, the last line wins."""
    settings = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if BLANK.fullmatch(line):
            continue
        found = LINE.fullmatch(line)
        if found is not None and found.group(1) in RESERVED:
            raise EnvFileError(
                f"line {number} {found.group(1)}: shells or make use this name themselves"
            )
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
    output = " ".join(["READ", *(f"{name}={value}" for name, value in settings.items())])
    # Bytes: the locale's encoding may lack a character.
    sys.stdout.buffer.write(output.encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
