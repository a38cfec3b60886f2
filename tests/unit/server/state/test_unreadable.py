import pytest

from server.state.unreadable import Unreadable, mostly_unreadable, share_of


@pytest.mark.parametrize(
    ("tickers", "causes", "expected"),
    [
        (7, {}, Unreadable(share=0.0, cause=None)),
        (3, {"a": 1}, Unreadable(share=0.25, cause="a")),
        (3, {"a": 1, "b": 2}, Unreadable(share=0.5, cause="b")),
        (0, {"b": 2, "a": 2}, Unreadable(share=1.0, cause="a")),
        # Just over half is not rounded down to half.
        (10_000, {"a": 10_001}, Unreadable(share=0.501, cause="a")),
    ],
)
def test_the_share_has_the_most_frequent_cause(
    tickers: int, causes: dict[str, int], expected: Unreadable
) -> None:
    assert share_of(tickers, causes) == expected


def test_half_of_what_an_exchange_sends_is_not_most_of_it() -> None:
    half, more = Unreadable(share=0.5, cause="a"), Unreadable(share=0.501, cause="a")

    assert mostly_unreadable({"kucoin": more, "binance": half}) == {"kucoin": more}
