"""A seeded simulation over the real symbol lists."""
