"""Glob patterns of the files in a project. setup.py imports this too, so it needs only the standard library."""

from __future__ import annotations

from pathlib import Path

PATTERNS = (
    "migrations/*.sql",
    "sql/**/*.*",
    "pipes/*.sql",
    "tests/pipes/*.yaml",
    "tests/pipes/fixtures/*.yaml",
)


def project_files(root: Path) -> list[str]:
    """Paths below `root`: migrations first, then what pipes are made of, the pipes, and their cases."""
    matches = (path for pattern in PATTERNS for path in sorted(root.glob(pattern)))
    return [path.relative_to(root).as_posix() for path in matches if path.is_file() and not path.name.startswith(".")]
