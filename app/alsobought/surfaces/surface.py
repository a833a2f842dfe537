"""A surface, as `sql/surfaces.yaml` describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Surface:
    """`parameters` are given to the pipe, where a request may not change them; `limit` is the number of items, if not the pipe's.

    `fallbacks` are pipes that fill a list which the pipe and its own fallbacks leave short. `shadow` is a pipe that is asked beside
    it, recorded, and never shown.
    """

    name: str
    pipe: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    fallbacks: tuple[str, ...] = ()
    shadow: str = ""
