"""Generate messages of both exchanges with unexpected contents, as bytes, for property tests of readers.

Items are built token by token rather than with json.dumps, so that keys can be duplicated or escaped,
and values can be what no JSON writer produces.
"""

import json
from typing import TypeVar

from hypothesis import strategies as st

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from tests.support.frames import RECEIVED_AT
from tests.support.json_texts import VALUES

T = TypeVar("T")

Pairs = list[tuple[str, str]]
"""Keys and values as JSON texts."""

TICKERS: dict[str, Pairs] = {
    BINANCE.raw_topic: [
        ('"e"', '"24hrMiniTicker"'),
        ('"E"', "1743147448467"),
        ('"s"', '"BTCUSDT"'),
        ('"c"', '"85439.99000000"'),
        ('"o"', '"87304.35000000"'),
        ('"h"', '"87728.27000000"'),
        ('"l"', '"85300.01000000"'),
        ('"v"', '"20230.79019000"'),
        ('"q"', '"1754434346.25694750"'),
        ('"received_at"', str(RECEIVED_AT)),
    ],
    KUCOIN.raw_topic: [
        ('"topic"', '"/market/ticker:all"'),
        ('"type"', '"message"'),
        ('"subject"', '"CRO-USDT"'),
        ('"data"', "{}"),
        ('"received_at"', str(RECEIVED_AT)),
    ],
}
DATA: Pairs = [
    ('"bestAsk"', '"0.10605"'),
    ('"bestAskSize"', '"2522.2"'),
    ('"bestBid"', '"0.10596"'),
    ('"bestBidSize"', '"2160"'),
    ('"price"', '"0.10604"'),
    ('"sequence"', '"915875484"'),
    ('"size"', '"159.3256"'),
    ('"time"', "1743147198992"),
]

ODD_KEYS = (
    *('"x"', '"unreadable"', '"data.price"', '""', '"C"', '"\\u0063"', '"\\u0045"', '"\\u0073"'),
    *('"\\u0070rice"', '"d\\u0061ta"', '"s\\u0065quence"', '"receive\\u0064_at"', '"币"'),
    *('"\\ud800"', '"},{"', '"\\u0000"'),
)
ODD_VALUES = (
    *("null", "true", "false", '""', '" "', "0", "-0", "-1", '"0"', '"-0.0"', '"-1"', "1.5", "1.0"),
    *("1E3", "1e-8", '"1.46E-6"', '"1e3"', '"1E+3"', '"1E-19"', "1E999999999", '"1E999999999"'),
    *('"1E-999999999"', '"0E-30"', '"0.0000000000000000001"', '"1.2708784448066809961"'),
    *('"99999999999999999999.999999999999999999"', '"100000000000000000000"', '"1."', '".5"'),
    *('"+1"', '"1,5"', '"0x10"', '"1_0"', '"٣"', '" 1"', '"1\\n"', '"NaN"', '"Infinity"', '"Inf"'),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    *(
        '"9223372036854775807"',
        '"9223372036854775808"',
        "18446744073709551616",
        "1" * 30,
        "7" * 400,
    ),
    *('"' + "1" * 19 + '"', '"' + "0" * 30 + '7"', '"1.5' + "0" * 40 + '"', "1743147448467.0"),
    *("1743147448467000", "946684800000", "946684799999", "4102444800000", "4102444800001"),
    *("1743147448467E0", '"1743147448467"', "1.743147448467E12", str(RECEIVED_AT + 10**9)),
    *("{}", "[]", "[{}]", "[{},{}]", '{"a":{}}', '{"a":[{"b":1},{"b":2}]}', "[1,[2,[3]]]"),
    *('{"price":"1","sequence":"2"}', '[{"s":"A"},{"s":"B"}]', '{"x":{"y":{}},"z":{}}'),
    *('"},{"', '"}]"', '"[{"', '"}\\n{"', '"a\\nb"', '"\x7f"', '"\\u0000"', '"A\\u0000B"'),
    *('"\\ud800"', '"\\udc00"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00\\ud83d"', '"\\ud800A"'),
    *(
        '"\\/"',
        '"\\u00e9"',
        '"é"',
        '"币安人生USDT"',
        '"😀"',
        '"\ufeff"',
        '"\u2028"',
        '"x"',
        '"A B"',
    ),
    *('"' + "x" * 100 + '"', '"' + "x" * 101 + '"', '"' + "币" * 100 + '"', '"' + "币" * 101 + '"'),
)
INVALID_JSON = (
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "Inf",
        "-Inf",
        "nan",
        "1.",
        ".5",
        "01",
        "+1",
        "abc",
        "1e",
        "",
    ),
    *("'x'", "/**/1", "1 2", '"\\q"', '"\\u12"', '"a\nb"', '"}\n{"', '"\t"', '"\x01"', '"\0"', '"'),
    *("\ud800", '"\ud800"', "{", "[", "}", "]", '{"a"}', "[1,]", '{"a":1,}', '"a""b"', "1\x00"),
)
JUNK = (
    *(
        b"\0",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xc0\x80",
        b"Inf",
        b"null",
        b"7",
    ),
    *(
        b"},{",
        b"}\n{",
        b"\n",
        b"\r\n",
        b" ",
        b"\x0c",
        b"\xc2\xa0",
        b",",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(
        b'"',
        b"\\",
        b"{}",
        b"[]",
        b"}{",
        b"}]",
        b"[{",
        b"}]\n[{",
        b"{},",
        b",{}",
        b"},null,{",
        b"//",
    ),
)
BLANKS = st.sampled_from([*[""] * 60, " ", "\n", "\r\n", "\t", "  "])

DIGITS = st.text("0123456789", max_size=25)
NUMBERS = st.builds(
    lambda sign, whole, point, behind, e, exponent: sign + whole + point + behind + e + exponent,
    st.sampled_from(["", "", "", "-", "+"]),
    DIGITS,
    st.sampled_from(["", ".", "."]),
    DIGITS,
    st.sampled_from(["", "", "", "e", "E-", "E+"]),
    st.text("0123456789", max_size=3),
)
QUOTED = NUMBERS.map(lambda number: f'"{number}"')


def mostly(
    usual: st.SearchStrategy[T], else_: st.SearchStrategy[T], one_in: int
) -> st.SearchStrategy[T]:
    """Draw `else_` once in `one_in` times. one_of would ignore how often it lists a strategy."""
    return st.sampled_from([usual] * (one_in - 1) + [else_]).flatmap(lambda chosen: chosen)


ANY_JSON = st.sampled_from([st.sampled_from(ODD_VALUES), QUOTED, VALUES.map(json.dumps)]).flatmap(
    lambda chosen: chosen
)
WRITTEN = mostly(ANY_JSON, st.one_of(NUMBERS, st.sampled_from(INVALID_JSON)), one_in=20)


@st.composite
def changed(draw: st.DrawFn, pairs: Pairs) -> Pairs:
    """Generate an object's pairs with none, one or a few of them changed."""
    found = list(pairs)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 4]))):
        at = draw(st.integers(0, len(found)))
        key, value = found[at] if at < len(found) else (draw(st.sampled_from(ODD_KEYS)), "1")
        match draw(st.sampled_from(["replace", "replace", "remove", "repeat", "rename", "add"])):
            case "replace":
                found[at : at + 1] = [(key, draw(WRITTEN))]
            case "remove":
                del found[at : at + 1]
            case "repeat":
                to = draw(st.integers(0, len(found)))
                found.insert(to, (key, draw(st.just(value) | WRITTEN)))
            case "rename":
                found[at : at + 1] = [(draw(st.sampled_from(ODD_KEYS)), value)]
            case "add":
                found.insert(at, (draw(st.sampled_from(ODD_KEYS)), draw(WRITTEN)))
    return found


@st.composite
def objects(draw: st.DrawFn, pairs: Pairs) -> str:
    written = draw(changed(pairs))
    blank = draw(BLANKS)
    text = ",".join(f"{blank}{key}:{blank}{value}{blank}" for key, value in written)
    return "{" + text + "}"


@st.composite
def tickers(draw: st.DrawFn, topic: str) -> str:
    pairs = TICKERS[topic]
    if topic == KUCOIN.raw_topic:
        data = draw(objects(DATA))
        pairs = [(key, data if key == '"data"' else value) for key, value in pairs]
    return draw(objects(pairs))


def items(topic: str) -> st.SearchStrategy[str]:
    return mostly(tickers(topic), WRITTEN, one_in=30)


@st.composite
def bodies(draw: st.DrawFn, topic: str) -> bytes:
    """Generate the value of a message."""
    found = draw(st.lists(items(topic), min_size=draw(st.sampled_from([0, 1, 1, 1])), max_size=4))
    between = f"{draw(BLANKS)},{draw(BLANKS)}"
    text = f"[{draw(BLANKS)}{between.join(found)}{draw(BLANKS)}]"
    # surrogatepass encodes a lone surrogate as bytes that are not valid UTF-8.
    body = text.encode(errors="surrogatepass")
    match draw(st.sampled_from([*[None] * 40, "junk", "cut", "behind", "before"])):
        case "junk":
            at = draw(st.integers(0, len(body)))
            to = draw(st.sampled_from([at, at, at + 1, at + 20]))
            return body[:at] + draw(st.sampled_from(JUNK)) + body[to:]
        case "cut":
            return body[: draw(st.integers(0, len(body)))]
        case "behind":
            return body + draw(st.sampled_from(JUNK) | st.binary(max_size=5))
        case "before":
            return draw(st.sampled_from(JUNK)) + body
    return body
