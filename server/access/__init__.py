"""Who may ask: keys, hosts, limits of streams, headers."""
