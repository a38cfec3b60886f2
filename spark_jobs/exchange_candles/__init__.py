"""Read topic `exchange_candles` and write its candles, which the exchanges made of trades, to Postgres."""
