"""Count dead letters in spans, and read them again."""
