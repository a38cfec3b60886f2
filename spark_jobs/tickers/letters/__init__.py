"""Dead letters: counted in spans, and read again."""
