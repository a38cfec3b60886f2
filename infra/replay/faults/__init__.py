"""Faults that the replay exchange commits on request, and its limits."""
