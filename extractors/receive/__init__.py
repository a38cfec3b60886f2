"""From an exchange's frames to events: connections, rotation, duplicates, instruments."""
