"""Test the syntax of Java properties, and that errors contain a line's number but no value."""

import traceback
from pathlib import Path

import pytest

from core.kafka_properties_file import read_properties


def read(folder: Path, text: str) -> dict[str, str]:
    path = folder / "client.properties"
    path.write_bytes(text.encode())
    return read_properties(path)


@pytest.mark.parametrize(
    "line",
    [
        "client.id=me",
        "client.id:me",
        "client.id me",
        "client.id = me",
        "client.id\t:\tme",
        "  client.id=me  ",
        "client.id=\\\n  me",
        "client.\\\r\n  id=me",
        "# a comment \\\nclient.id=me",
        "! a comment\n\n   # another\nclient.id=me\n",
        "client.id=you\nclient.id=me",
        "client.id=\\u006de",
        "client.id=m\\u0065",
    ],
)
def test_each_way_to_write_a_property_is_understood(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, line) == {"client.id": "me"}


def test_value_keeps_separators_quotes_and_escaped_characters(tmp_path: Path) -> None:
    text = 'sasl.jaas.config=a.B required \\\n    username="m:e" password="p=a#s!s\\\\\\t";\nclient.id='
    assert read(tmp_path, text) == {
        "sasl.jaas.config": 'a.B required username="m:e" password="p=a#s!s\\\t";',
        "client.id": "",
    }


def test_names_without_a_dot_are_properties_too(tmp_path: Path) -> None:
    assert read(tmp_path, "acks=all\nretries=3\n") == {"acks": "all", "retries": "3"}


def test_u_after_an_escaped_backslash_is_a_letter(tmp_path: Path) -> None:
    assert read(tmp_path, "client.id=CORP\\\\ursula") == {"client.id": "CORP\\ursula"}


def test_two_escapes_of_a_surrogate_pair_are_one_character(tmp_path: Path) -> None:
    assert read(tmp_path, "client.id=\\ud83d\\ude00") == {"client.id": "\U0001f600"}


def test_two_backslashes_at_the_end_of_a_line_do_not_continue_it(tmp_path: Path) -> None:
    assert read(tmp_path, "client.id=me\\\\\nclient.rack=a") == {
        "client.id": "me\\",
        "client.rack": "a",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('client.id=me\n\nsasl.jaas.config=a.B\n  password="tr0ub4dor";', "line 4: expected name="),
        ("MIItr0ub4dor+base64/text", "line 1: expected name=value"),
        ("=tr0ub4dor", "line 1: expected name=value"),
        ("client.id=tr0ub4dör", "line 1: write a character outside ASCII as"),
        ("client.id=CORP\\utr0ub4dor", "line 1: \\u needs four hexadecimal digits"),
        ("client.id=me\\\\\\u00e", "line 1: \\u needs four hexadecimal digits"),
        ("client.id=tr0ub4dor\\ud83d", "line 1: one \\uXXXX of a surrogate pair is missing"),
    ],
)
def test_wrong_line_is_named_by_its_number_and_never_shown(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ValueError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(reason)
    assert "tr0ub4d" not in "".join(traceback.format_exception(refused.value))


def test_missing_file_is_refused_with_the_systems_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as refused:
        read_properties(tmp_path / "missing")
    assert str(refused.value) == "can't read the file: No such file or directory"
