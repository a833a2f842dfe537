"""Alsobought: recommendations that are SQL files.

The frame around the SQL: it knows files, events and HTTP, and no product, category or score.
"""
