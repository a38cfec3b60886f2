"""The three services of a stack. Each prepares its folder, says when it is ready, and is initialised once."""
