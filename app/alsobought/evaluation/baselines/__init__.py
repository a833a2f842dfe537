"""Baseline recommenders for comparison on the same queries."""
