"""A recording of landing/, played as a feed."""
