"""From the journal to landing/, one object for each closed segment."""
