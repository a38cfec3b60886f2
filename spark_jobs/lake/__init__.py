"""Sinks that write raw/ and tickers/ in the bucket, and the reader of raw/."""
