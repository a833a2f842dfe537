"""Two texts of a pipe on the same recorded requests: what changes in the answers."""
