"""The checkout that the tests belong to, and project folders copied from it."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ("pipes", "sql", "migrations")


def project_folder(at: Path, *parts: str) -> Path:
    """A copy of the project's files in this folder: pipes, sql and migrations, or only these parts."""
    for part in parts or PROJECT:
        shutil.copytree(ROOT / part, at / part)
    return at
