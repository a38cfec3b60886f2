"""Every figure that the documents claim, each by one command: docs/benchmarks.md."""
