"""The Delta table of every normalised ticker."""
