"""One person's data: erasure, export, merging a guest into an account."""
