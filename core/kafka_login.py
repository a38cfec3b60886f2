"""Read user and password from sasl.jaas.config, which is how Java clients configure a login.

org.apache.kafka.common.security.scram.ScramLoginModule required username="me" password="…";
"""

import re
from typing import NamedTuple

MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
"""Login module of each mechanism that authenticates by user and password."""

FLAGS = {"required", "requisite", "sufficient", "optional"}

QUOTED = r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\''
OPTION = re.compile(rf"\s+([\w$-]+)\s*=\s*({QUOTED}|[A-Za-z_$][\w$.-]*)", re.DOTALL)
LOGIN = re.compile(rf"\s*([\w$.]+)\s+(\w+)((?:{OPTION.pattern})*)\s*;\s*", re.DOTALL)

# As java.io.StreamTokenizer reads quoted strings.
ESCAPE = re.compile(r"\\(?:(?P<octal>[0-3]?[0-7]{1,2})|(?P<other>.))", re.DOTALL)
ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "a": "\a", "b": "\b", "v": "\v"}


class Login(NamedTuple):
    username: str
    password: str


def read_login(mechanism: str, jaas_config: str) -> Login:
    """Return the login. Raise ValueError, whose message contains no part of `jaas_config`."""
    module = MODULES[mechanism]
    found = LOGIN.fullmatch(jaas_config)
    if found is None or found[2].lower() not in FLAGS:
        raise ValueError(f'expected {module} required username="…" password="…";')
    if found[1] != module:
        raise ValueError(f"expected {module}, which sasl.mechanism={mechanism} needs")
    options = {name: _unquoted(value) for name, value in OPTION.findall(found[3])}
    if options.keys() != {"username", "password"}:
        raise ValueError("expected the options username and password, and no other")
    return Login(options["username"], options["password"])


def _unquoted(value: str) -> str:
    if value[0] not in "\"'":
        return value
    return ESCAPE.sub(_unescaped, value[1:-1])


def _unescaped(escape: re.Match[str]) -> str:
    if escape["octal"]:
        return chr(int(escape["octal"], 8))
    return ESCAPED.get(escape["other"], escape["other"])
