"""Checks of an installation; each finding has advice on how to fix it."""
