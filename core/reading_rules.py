"""Number of the rules by which messages are read, so that rows of earlier rules are recognised."""

READING_RULES = 2
"""Increase it when the same message results in other rows than before, in Postgres or in `tickers/`.

1: up to version 0.1.0. A price of zero or less was a price. A number with an exponent made its ticker a
dead letter, as did any other field that can't be read.
"""

TABLE_PROPERTY = "cryptopricesrt.readingRules"
"""Property of the table `tickers/` with the number of its rows' rules. Version 0.1.0 did not set it."""
