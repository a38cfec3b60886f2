"""Field types of parameters and answers, with their OpenAPI schemas."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from exchanges import EXCHANGE
from server.state.prices import FIELDS, instant, plain
from server.state.selection import Selection

if TYPE_CHECKING:
    Exchange = str
else:
    Exchange = Literal[tuple(EXCHANGE)]
"""Name of an exchange. The OpenAPI document and errors list the valid names."""

# No control characters: Postgres rejects NUL in a text.
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]

MAX_REPEATS = 100
"""Maximum number of values of a repeatable parameter."""

Names = Annotated[Sequence[Name], Field(max_length=MAX_REPEATS)]


class SelectionQuery(BaseModel):
    """Query parameters that select prices; a missing one matches all.

    All but `status` may be repeated: a price must match one value of each.
    """

    model_config = ConfigDict(extra="forbid")

    exchange: Annotated[Sequence[Exchange], Field(max_length=MAX_REPEATS)] = ()
    base: Annotated[Names, Field(description="As listed by the exchange; case-insensitive")] = ()
    quote: Annotated[Names, Field(description="As listed by the exchange; case-insensitive")] = ()
    symbol: Annotated[Names, Field(description="As the exchange spells it")] = ()
    status: Annotated[
        Name | None,
        Field(
            description="Trading status; case-insensitive. `trading` leaves out symbols that are halted,"
            " delisted or not on the exchange's list",
            examples=["trading"],
        ),
    ] = None

    def selection(self) -> Selection:
        return Selection(
            frozenset(self.exchange),
            lowered(self.base),
            lowered(self.quote),
            frozenset(self.symbol),
            None if self.status is None else self.status.lower(),
        )


def lowered(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def known_fields(text: str) -> str:
    """Raise ValueError, which names the first unknown field of a comma-separated list."""
    for name in text.split(","):
        if name not in FIELDS:
            raise ValueError(f"no field {name!r}; the fields are {', '.join(FIELDS)}")
    return text


PriceFields = Annotated[
    str,
    AfterValidator(known_fields),
    Field(
        description="Fields of each price, with commas between them; `exchange` and `symbol` are always"
        " there. Missing: all fields",
        examples=["price,bid,ask"],
        # Only for the document: an error names the unknown field instead.
        json_schema_extra={"pattern": f"^({'|'.join(FIELDS)})(,({'|'.join(FIELDS)}))*$"},
    ),
]


def field_set(text: str | None) -> frozenset[str] | None:
    """Return the fields of a validated list; None if all are wanted."""
    return None if text is None else frozenset(text.split(","))


Amount = Annotated[
    Decimal,
    PlainSerializer(plain),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["85439.99"]}),
]

Instant = Annotated[
    datetime, PlainSerializer(instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
