"""A pipe is one SQL file that answers one question: from its text to checked SQL."""
