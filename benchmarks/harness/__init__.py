"""Parts that several benchmarks share: stacks, child processes, messages, figures and reports."""
