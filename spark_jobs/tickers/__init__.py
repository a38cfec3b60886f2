"""Pure functions over polars frames: messages to tickers, tickers to a row per symbol and minute."""
