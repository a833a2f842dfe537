"""Migration files to schema: parsing, running, locking, and the journal of what was applied."""
