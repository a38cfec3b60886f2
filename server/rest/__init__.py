"""The REST API: prices, instruments, candles, comparisons, feeds and health."""
