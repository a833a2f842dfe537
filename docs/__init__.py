"""The documentation, and `docs.generate`, which writes the pages that are made from the code."""
