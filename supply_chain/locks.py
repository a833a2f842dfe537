"""The locked packages: names, versions, and which of them a service installs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVICE, DEVELOPMENT = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"


def normalized(name: str) -> str:
    """
    >>> normalized("Jinja2"), normalized("boolean.py")
    ('jinja2', 'boolean-py')
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(*locks: Path) -> set[str]:
    """The names of the packages in these locks."""
    return {
        normalized(name) for lock in locks for name in re.findall(r"^([a-z0-9][a-z0-9._-]*)==", lock.read_text(), re.M)
    }


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
