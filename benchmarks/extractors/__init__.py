"""Parts of the benchmarks of the extractors."""
