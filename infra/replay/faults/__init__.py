"""Faults that the replay exchange injects on request, and its limits."""
