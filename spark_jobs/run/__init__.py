"""Starting, watching and ending queries. Knows no sink."""
