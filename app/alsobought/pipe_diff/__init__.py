"""Compare the answers of two texts of a pipe to the same recorded requests."""
