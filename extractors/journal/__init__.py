"""The journal on local disk: append-only segments, written on receipt, read by both followers."""
