"""A finding: the result of one check of an installation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """`advice` is how to fix it, empty where nothing is wrong."""

    check: str
    state: Literal["ok", "warning", "fault"]
    message: str
    advice: str = ""
