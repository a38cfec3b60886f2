import pytest

from server.rest.etags import is_known

ETAG = '"5f3c1a2b-311"'


@pytest.mark.parametrize(
    "if_none_match", [ETAG, f"W/{ETAG}", "*", f'"other", {ETAG}', f'"other",W/{ETAG} , "more"']
)
def test_a_client_that_has_the_answer_is_recognised(if_none_match: str) -> None:
    assert is_known(ETAG, if_none_match)


@pytest.mark.parametrize("if_none_match", [None, "", "5f3c1a2b-311", '"5f3c1a2b-31"', 'w/"*"'])
def test_a_client_that_has_another_answer_is_not(if_none_match: str | None) -> None:
    assert not is_known(ETAG, if_none_match)
