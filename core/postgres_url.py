"""Check the URL of a Postgres database, which libpq, yoyo and urllib must all read alike.

    postgresql://user:password@host:port/database?sslmode=require

libpq's errors quote parts of a URL that it can't parse, and a character that is not
percent-encoded may move a part of the password to where libpq expects a host or a parameter. So a URL
of any other form is refused here. User, password, port and parameters are optional; the scheme may also be
`postgres`. No error contains any part of the URL.
"""

import re
from urllib.parse import unquote, urlsplit

FORM = re.compile(
    r"postgres(?:ql)?://"
    r"(?:[^@/?#\[\]]*@)?"
    # yoyo decodes neither the host nor the name of the database.
    # A list of hosts must have no ports: libpq expects as many ports as hosts, and urllib reads one.
    r"(?:(?:\[[0-9A-Fa-f:.]+\]|[^@/?#\[\]:,%]+)(?::[0-9]*)?|[^@/?#\[\]:%]+)"
    r"/[^@/?#%]+"
    r"(?:\?(?P<parameters>[^@#]*))?"
)
# yoyo reads + as a space, libpq does not.
PARAMETER = re.compile(r"(?P<name>[a-z_]+)=[^=+]+")
NOT_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")

PARAMETERS = frozenset(
    "application_name channel_binding client_encoding connect_timeout fallback_application_name "
    "gssdelegation gssencmode gsslib keepalives keepalives_count keepalives_idle keepalives_interval "
    "krbsrvname load_balance_hosts options passfile require_auth requirepeer ssl_max_protocol_version "
    "ssl_min_protocol_version sslcert sslcertmode sslcompression sslcrl sslcrldir sslkey sslmode "
    "sslnegotiation sslpassword sslrootcert sslsni target_session_attrs tcp_user_timeout".split()
)
"""libpq's parameters, except `service`, `replication` and those that replace a part of the URL."""

EXPECTED = "expected postgresql://user:password@host:port/database"
ENCODING = (
    "; percent-encode special characters in user and password: "
    "%40 for @, %2F for /, %3F for ?, %23 for #, %5B for [, %5D for ], %25 for %, %20 for a space"
)
AFTER_THE_DATABASE = (
    f"{EXPECTED}, optionally followed by ? and parameters of libpq such as sslmode=require, except service, "
    "replication and those for user, password, host, port or database. "
    "Percent-encode = and + in their values"
)


def postgres_url(value: str) -> str:
    """Return the URL. Raise ValueError, which contains no part of it."""
    found = FORM.fullmatch(value)
    if not (found and _is_encoded(value) and _is_accepted_by_urllib(value)):
        raise ValueError(EXPECTED + (ENCODING if "@" in value else ""))
    parameters = found["parameters"]
    if parameters is not None and not all(map(_is_parameter, parameters.split("&"))):
        raise ValueError(AFTER_THE_DATABASE)
    return value


def _is_encoded(value: str) -> bool:
    """Return whether a URL has neither blanks nor control characters, and its escapes are UTF-8."""
    if not value.isprintable() or " " in value or NOT_ENCODED.search(value):
        return False
    try:
        unquote(value, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _is_accepted_by_urllib(value: str) -> bool:
    """Return whether urllib accepts host and port, and the port is not 0."""
    try:
        return urlsplit(value).port != 0
    except ValueError:
        return False


def _is_parameter(text: str) -> bool:
    found = PARAMETER.fullmatch(text)
    return found is not None and found["name"] in PARAMETERS
