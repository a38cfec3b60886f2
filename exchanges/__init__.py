"""List the supported exchanges. To add one, write a module in this folder and add it to EXCHANGES."""

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN

EXCHANGES = (BINANCE, KUCOIN)
"""All exchanges. Topics, settings, ports and programs are derived from this tuple."""

EXCHANGE = {exchange.name: exchange for exchange in EXCHANGES}
"""Mapping from name to exchange."""
