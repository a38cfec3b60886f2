"""JSON values as an exchange may write them: any value, with any blanks between its tokens."""

import json
from typing import Any

from hypothesis import strategies as st

# As a JSON parser returns it: two surrogates that belong together are one character.
PARSED_TEXT = st.text(st.characters()).map(lambda text: str(json.loads(json.dumps(text))))

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    PARSED_TEXT,
)

VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PARSED_TEXT, inner, max_size=4),
    max_leaves=10,
)

BLANKS = st.text(" \t\n\r", max_size=2)


@st.composite
def json_texts(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> tuple[bytes, Any]:
    """A JSON text and its value."""
    value = draw(values)
    text = json.dumps(
        value,
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 0, "\t"])),
        separators=(f"{draw(BLANKS)},{draw(BLANKS)}", f"{draw(BLANKS)}:{draw(BLANKS)}"),
    )
    try:
        return text.encode(), value
    except UnicodeEncodeError:
        # Only an escape can write a lone surrogate.
        return json.dumps(value).encode(), value
