"""Rank an exchange's pairs by what was traded in the last 24 hours, in one currency."""

from collections.abc import Iterable, Mapping

from exchanges.exchange import Instrument, Turnover

COMMON = "USDT"
"""Currency in which volumes are compared. The volume of a pair whose quote has no pair with it, such as
Binance's JPY, counts as 0."""

TRADING = "TRADING"


def ranked(instruments: Iterable[Instrument], turnovers: Mapping[str, Turnover]) -> list[str]:
    """Return the symbols that trade, most traded first. A volume that can't be compared counts as 0."""
    trading = [each for each in instruments if each.status == TRADING]
    prices = {COMMON: 1.0}
    for each in trading:
        turnover = turnovers.get(each.symbol)
        if turnover and turnover.price > 0:
            if each.quote == COMMON:
                prices[each.base] = turnover.price
            elif each.base == COMMON:
                prices.setdefault(each.quote, 1 / turnover.price)

    def volume(instrument: Instrument) -> float:
        turnover = turnovers.get(instrument.symbol)
        return turnover.volume * prices.get(instrument.quote, 0.0) if turnover else 0.0

    return [each.symbol for each in sorted(trading, key=volume, reverse=True)]
