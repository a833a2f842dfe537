"""Files in: readers of each format, column mapping, rejects, and the loader that submits them to the writer."""
