"""Alsobought: recommendations that are SQL files."""
