"""Connections to an exchange's servers, refusals and bans."""
