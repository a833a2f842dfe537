"""A pipe checked, formatted and tested before it serves."""
