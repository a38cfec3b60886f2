"""Test that libpq, yoyo and urllib read a URL of Postgres alike, or that it is refused and never shown."""

import traceback
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extensions import parse_dsn
from yoyo.connections import parse_uri

from core.postgres_url import AFTER_THE_DATABASE, ENCODING, EXPECTED, PARAMETERS, postgres_url

SECRET = "tr0ub4dor"


def refusal(value: str) -> str:
    """Return the message with which the URL is refused. Assert that SECRET is not shown."""
    with pytest.raises(ValueError) as refused:
        postgres_url(value)
    assert SECRET not in "".join(traceback.format_exception(refused.value))
    return str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        f"postgresql://127.0.0.1:5432?{SECRET}",
        f"postgresql://127.0.0.1:99999/{SECRET}",
        f"postgresql:///{SECRET}",
        f"host=127.0.0.1 password={SECRET}",
        SECRET,
    ],
)
def test_url_of_another_form_is_refused(value: str) -> None:
    assert refusal(value) == EXPECTED


@pytest.mark.parametrize(
    "value",
    [
        f"postgresql://crypto:{SECRET}@127.0.0.1:5432",
        f"postgresql://crypto:{SECRET}@127.0.0.1:5432/",
        f"postgresql://crypto:{SECRET}@127.0.0.1:99999/db",
        f"postgresql://crypto:{SECRET}@127.0.0.1:0/db",
        f"postgresql://crypto:{SECRET}@127.0.0.1:+1/db",
        f"mysql://crypto:{SECRET}@127.0.0.1/prices",
        # urllib takes the scheme in capitals, libpq reads name=value pairs and shows the text.
        f"POSTGRESQL://crypto:{SECRET}@127.0.0.1/prices",
        # urllib refuses a character that becomes a / in a normalised host.
        f"postgresql://crypto:{SECRET}\u2100@127.0.0.1:5432/db",
        # The password contains a character that is not encoded.
        f"postgresql://u:{SECRET}@ss/word@127.0.0.1:5432/d",
        f"postgresql://u:{SECRET}@ss@127.0.0.1:5432/d",
        f"postgresql://u:{SECRET}/x@127.0.0.1:5432/d",
        f"postgresql://u:1/{SECRET}@127.0.0.1:5432/d",
        f"postgresql://u:1/d?{SECRET}@127.0.0.1:5432/d",
        f"postgresql://u:1/d?sslmode={SECRET}@127.0.0.1:5432/d",
        f"postgresql://u:{SECRET}?x@127.0.0.1:5432/d",
        f"postgresql://u:{SECRET}#x@127.0.0.1:5432/d",
        f"postgresql://u:1/d#{SECRET}@127.0.0.1:5432/d",
        f"postgresql://u:[{SECRET}]@127.0.0.1:5432/d",
        f"postgresql://u:{SECRET} x@127.0.0.1:5432/d",
        f"postgresql://u:{SECRET}\tx@127.0.0.1:5432/d",
        f"postgresql://u:{SECRET}@127.0.0.1:5432/d\r",
        f" postgresql://u:{SECRET}@127.0.0.1:5432/d",
        f"postgresql://u:{SECRET}%x@127.0.0.1:5432/d",
        f"postgresql://u:{SECRET}%@127.0.0.1:5432/d",
        f"postgresql://u:{SECRET}%00@127.0.0.1:5432/d",
        # Latin-1.
        f"postgresql://u:{SECRET}%FF@127.0.0.1:5432/d",
        f"postgresql://{SECRET}%zz:p@127.0.0.1:5432/d",
        f"postgresql://u:p@{SECRET}%zz:5432/d",
        # yoyo decodes neither the host nor the name of the database.
        f"postgresql://reader:{SECRET}@%2Fvar%2Frun%2Fpostgresql/prices",
        f"postgresql://reader:{SECRET}@db%2Dold:5432/prices",
        f"postgresql://u:p@127.0.0.1:5432/{SECRET}%41",
    ],
)
def test_wrong_url_with_an_at_sign_is_refused_with_how_to_encode_it(value: str) -> None:
    assert refusal(value) == EXPECTED + ENCODING


@pytest.mark.parametrize(
    "parameters",
    [
        SECRET,
        "",
        f"{SECRET}=x",
        f"sslmode=require&{SECRET}",
        f"sslmode={SECRET}=x",
        f"sslmode={SECRET}&",
        # These would replace a part of the URL.
        f"password={SECRET}",
        f"host={SECRET}",
        # This would set what the URL leaves out.
        f"service={SECRET}",
        # yoyo reads a space.
        f"application_name={SECRET}+x",
    ],
)
def test_parameters_that_libpq_refuses_or_others_read_differently_are_refused(
    parameters: str,
) -> None:
    assert refusal(f"postgresql://u:p@127.0.0.1:5432/d?{parameters}") == AFTER_THE_DATABASE


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://u:p%40ss%2Fword%25@127.0.0.1:5432/d",
        "postgresql://u:a:b!$&*()@127.0.0.1:5432/d?sslmode=require&application_name=a%40b",
        "postgres://me@db.example.org/prices?options=-c%20statement_timeout%3D5s",
        "postgresql://reader:p@[::1]:5432/d",
        "postgresql://127.0.0.1/d",
    ],
)
def test_encoded_url_is_returned_unchanged(value: str) -> None:
    assert postgres_url(value) == value


def test_libpq_knows_every_parameter_that_is_accepted() -> None:
    url = "postgresql://u:p@127.0.0.1/d?" + "&".join(f"{name}=1" for name in sorted(PARAMETERS))
    assert PARAMETERS <= parse_dsn(postgres_url(url)).keys()


PIECES = st.sampled_from(
    [*"ab1:@/?#%[]&=+, \t\\é", "%40", "%2F", "%00", "%ff", "sslmode=", "\u2100"]
)
TEXTS = st.lists(PIECES, max_size=4).map("".join)


@given(
    form=st.sampled_from(
        [
            "postgresql://u{}:p@h:5432/d?sslmode=a",
            "postgresql://u:p{}@h:5432/d?sslmode=a",
            "postgresql://u:p@h{}:5432/d?sslmode=a",
            "postgresql://u:p@h:5432/d{}?sslmode=a",
            "postgresql://u:p@h:5432/d?sslmode=a{}",
        ]
    ),
    text=TEXTS,
)
def test_whatever_is_accepted_is_read_alike_by_libpq_yoyo_and_urllib(form: str, text: str) -> None:
    value = form.format(text)
    try:
        postgres_url(value)
    except ValueError:
        return
    read = parse_dsn(value)
    url, uri = urlsplit(value), parse_uri(value)
    assert read.get("user", "") == unquote(url.username or "") == uri.username
    assert read.get("password", "") == unquote(url.password or "") == uri.password
    assert read["dbname"] == url.path[1:] == uri.database
    assert read["host"].lower() == (url.hostname or "").lower() == (uri.hostname or "").lower()
    assert int(read["port"]) == url.port == uri.port == 5432
    assert read["sslmode"] == uri.args["sslmode"]


@given(
    password=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
)
def test_any_password_is_accepted_once_it_is_encoded(password: str) -> None:
    value = f"postgresql://u:{quote(password, safe='')}@127.0.0.1/d"
    assert parse_dsn(postgres_url(value))["password"] == password
