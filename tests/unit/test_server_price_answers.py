import json

import pytest

from server.price_answers import PriceRow, is_known
from tests.live_job import price

ETAG = '"5f3c1a2b-311"'


@pytest.mark.parametrize(
    "if_none_match", [ETAG, f"W/{ETAG}", "*", f'"other", {ETAG}', f'"other",W/{ETAG} , "more"']
)
def test_a_client_that_has_the_answer_is_recognised(if_none_match: str) -> None:
    assert is_known(ETAG, if_none_match)


@pytest.mark.parametrize("if_none_match", [None, "", "5f3c1a2b-311", '"5f3c1a2b-31"', 'w/"*"'])
def test_a_client_that_has_another_answer_is_not(if_none_match: str | None) -> None:
    assert not is_known(ETAG, if_none_match)


def test_the_openapi_document_tells_every_field_of_a_row_in_its_order() -> None:
    row = json.loads(price("binance", "BTCUSDT", "85439.99").json)

    assert list(row) == list(PriceRow.model_fields)
    PriceRow.model_validate(row)
