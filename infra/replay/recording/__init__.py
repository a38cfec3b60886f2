"""Playback of a landing/ archive as a source."""
