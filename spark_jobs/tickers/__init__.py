"""Messages to tickers, and tickers to a row per symbol and minute: pure functions over polars frames."""
