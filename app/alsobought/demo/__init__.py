"""Data sets to play with: a year of simulated groceries, and a toy shop whose right answers are known."""
