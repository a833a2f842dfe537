"""Recorded requests asked of two texts of a pipe, and what changes."""
