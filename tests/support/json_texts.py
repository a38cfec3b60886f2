"""Generate JSON texts as an exchange may write them: any value, any whitespace between tokens."""

import json
from typing import Any

from hypothesis import strategies as st

# Texts as a JSON parser returns them: it merges a surrogate pair into one character.
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
    """Generate a JSON text and its value."""
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
        # A lone surrogate can only be written as an escape.
        return json.dumps(value).encode(), value
