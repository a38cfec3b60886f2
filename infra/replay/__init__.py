"""The replay exchange: one local server that speaks the public protocols of Binance and KuCoin.

`python -m infra.replay` serves a seeded simulation over the exchanges' real symbol lists, or plays
a landing archive.
"""
