"""Sinks below the bucket's raw/ and tickers/."""
