"""Count tables proven equal to a recompute from `events`, and rebuilt."""
