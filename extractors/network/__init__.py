"""Connections to an exchange's servers, and what a refusal demands."""
