"""Data sets to measure recommendations on: public ones, read from the wheels that ship them, and generated ones."""
