"""Receipt of an exchange's frames: connections, rotation, duplicates, feed events, instruments."""
