"""Check the examples in the OpenAPI document against the models that they belong to."""

import pytest
from pydantic import BaseModel

from server.price_row import PriceRow
from server.rest.candles import Candle
from server.rest.compare import Comparison
from server.rest.instruments import Instrument
from server.rest.last_day import Day
from server.rest.status import Status
from server.state.prices import FIELDS


@pytest.mark.parametrize("model", [PriceRow, Instrument, Candle, Comparison, Day, Status])
def test_an_example_is_an_answer_in_every_field(model: type[BaseModel]) -> None:
    (example,) = model.model_json_schema()["examples"]

    assert model.model_validate(example).model_dump(mode="json", by_alias=True) == example


def test_the_example_of_a_price_has_every_field_of_its_json() -> None:
    (example,) = PriceRow.model_json_schema()["examples"]

    assert set(example) == set(FIELDS)
