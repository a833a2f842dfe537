"""The click-through rate that other lists would have had, from a log of lists that explored."""
