"""Find out what is wrong with a pipeline: make doctor."""
