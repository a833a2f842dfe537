"""Demo data sets: a simulated year of groceries, and a toy shop with known answers."""
