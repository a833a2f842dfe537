"""A shop for each test: a copy of one that is made once."""

from __future__ import annotations

from tests.backup.shop import original, run

__all__ = ["original", "run"]
