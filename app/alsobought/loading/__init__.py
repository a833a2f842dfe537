"""Files in: readers of each format, column mapping, rejected rows, and the loader."""
