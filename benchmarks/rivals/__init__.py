"""What others would use for the same work, as their documents show it.

Each reads the raw topics from their start and prints, after each batch that is committed, how many ticks
it has done and when: `120000 1795486831.459`.
"""
