"""The exchanges that the project reads. To add one: a file beside this one, and its name in EXCHANGES."""

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN

EXCHANGES = (BINANCE, KUCOIN)
"""Every topic, setting, port and program of an exchange is derived from this."""

EXCHANGE = {exchange.name: exchange for exchange in EXCHANGES}
"""An exchange by its name."""
