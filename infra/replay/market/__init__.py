"""Seeded simulation of prices for the exchanges' real symbol lists."""
