"""Upload of the journal to landing/, one object per closed segment."""
