"""What experiments show: sums per variant from SQL, estimates that may be looked at every day, and what to do."""
