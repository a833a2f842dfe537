"""Offline evaluation: replay the log up to a day, query the pipes, and compare their lists with later purchases."""
