"""Recommenders to compare with, on the same questions."""
