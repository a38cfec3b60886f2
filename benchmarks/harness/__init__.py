"""What every benchmark needs: stacks, child processes, messages, figures and reports."""
