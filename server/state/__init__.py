"""The server's in-memory copy of the live prices in Postgres, kept up to date."""
