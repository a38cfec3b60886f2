"""What the server knows of Postgres: the table of prices, kept up to date."""
