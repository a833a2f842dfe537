"""The error of a row that cannot be accepted."""

from __future__ import annotations


class RejectedRow(ValueError):
    """Its text is the problem."""
