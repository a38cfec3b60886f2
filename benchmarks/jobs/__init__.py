"""Parts of the benchmarks of the jobs."""
