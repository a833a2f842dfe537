"""Backups of an embedded warehouse: pinned between two batches, copied without the writer, restored and proven."""
