"""Field types of parameters and answers, with their OpenAPI schemas."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PlainSerializer, WithJsonSchema

from exchanges import EXCHANGE
from server.state.prices import instant, plain

if TYPE_CHECKING:
    Exchange = str
else:
    Exchange = Literal[tuple(EXCHANGE)]
"""Name of an exchange. The OpenAPI document and errors list the valid names."""

# No control characters: Postgres rejects NUL in a text.
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]

Amount = Annotated[
    Decimal,
    PlainSerializer(plain),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["85439.99"]}),
]

Instant = Annotated[
    datetime, PlainSerializer(instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
