"""Measure every figure in the documents, with one command each: docs/benchmarks.md."""
