"""Check, format, create and test a pipe before it serves."""
