"""Start, watch and stop queries. Independent of any particular sink."""
