"""What a migration is, how it runs on one node or many, and what the database remembers of it."""
