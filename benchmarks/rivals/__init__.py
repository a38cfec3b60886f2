"""Alternatives for the same work, used as in their documentation.

Each reads the raw topics from the start. After each committed batch it prints the number of ticks so far
and the time: `120000 1795486831.459`.
"""
