"""Read a file of Java client properties, in the syntax that java.util.Properties defines.

Comments, the separators `=`, `:` and blank, continuation lines and escapes are supported. Four mistakes
raise an error with the line's number: a character outside ASCII and a value that continues without a
backslash, which Java would read as something else; an incomplete escape, which Java refuses too; and half
of a surrogate pair, which no client can send.
Messages never contain a value, because any value may be a secret.
"""

import re
from collections.abc import Iterator
from pathlib import Path

NAME = re.compile(r"acks|retries|[a-z0-9]+(\.[a-z0-9]+)+")
"""Form of the names of Kafka's client properties. Only `acks` and `retries` have no dot."""

# The separator is the first `=`, `:` or blank that no backslash precedes.
KEY_AND_VALUE = re.compile(r"((?:\\.|[^\\=:\s])*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL)

ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
INCOMPLETE_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u(?![0-9a-fA-F]{4})")
ESCAPED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def read_properties(path: Path) -> dict[str, str]:
    """Return the file's properties. Raise ValueError with the reason if it can't be read."""
    try:
        text = path.read_bytes().decode("latin-1")
    except OSError as error:
        raise ValueError(f"can't read the file: {error.strerror}") from error
    properties = {}
    for number, line in _logical_lines(text):
        # Java's tools read the file as Latin-1, editors write UTF-8.
        if not line.isascii():
            raise ValueError(f"line {number}: write a character outside ASCII as \\uXXXX")
        if INCOMPLETE_ESCAPE.search(line):
            raise ValueError(
                f"line {number}: \\u needs four hexadecimal digits; write \\\\ for a backslash"
            )
        try:
            key, value = _key_and_value(line)
        except UnicodeDecodeError:
            # Without its cause, which contains the value.
            raise ValueError(f"line {number}: one \\uXXXX of a surrogate pair is missing") from None
        if not NAME.fullmatch(key):
            raise ValueError(
                f"line {number}: expected name=value; a value that continues on the next line "
                "needs a backslash at the end of its line"
            )
        properties[key] = value
    return properties


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each logical line with its number, from 1. Skip blank lines and comments."""
    begun, parts = 0, ""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        line = line.lstrip(" \t\f")
        if not parts:
            if line.startswith(("#", "!")):
                continue
            begun = number
        backslashes = len(line) - len(line.rstrip("\\"))
        if backslashes % 2:
            parts += line[:-1]
            continue
        if parts or line:
            yield begun, parts + line
        parts = ""
    if parts:
        yield begun, parts


def _key_and_value(line: str) -> tuple[str, str]:
    found = KEY_AND_VALUE.fullmatch(line)
    assert found is not None
    # Kafka's clients strip blanks around a value.
    return _unescaped(found[1]), _unescaped(found[2]).strip()


def _unescaped(text: str) -> str:
    def character(escape: re.Match[str]) -> str:
        code = escape[1]
        if len(code) == 5:
            return chr(int(code[1:], 16))
        return ESCAPED.get(code, code)

    # A character beyond U+FFFF is written as two escapes: a surrogate pair.
    halves = ESCAPE.sub(character, text)
    return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
