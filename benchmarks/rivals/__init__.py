"""Alternatives for the same work, used as in their documentation.

Those of benchmarks/backlog.py read the raw topics from the start. After each committed batch they print
the number of ticks so far and the time: `120000 1795486831.459`.
"""
