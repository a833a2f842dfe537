"""The shop as its pages see it: lists to ask for, and posts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from alsobought.errors import Unusable


class FrontDoor(Protocol):
    """HTTP requests to a shop. All raise Unusable for a status of 400 or more."""

    def get(self, path: str) -> Any:
        """The JSON of an answer."""

    def get_all(self, paths: Sequence[str]) -> list[Any]:
        """The answers to requests that are made at the same time, in the order of the paths."""

    def post(self, path: str, body: Any) -> Any: ...


@dataclass(frozen=True)
class ShownList:
    """A list as a page gets it, empty in a holdout."""

    recommendation_id: str
    surface: str
    experiment: str
    variant: str
    item_ids: Sequence[str]


@dataclass(frozen=True)
class PageRequest:
    """One request for the lists of a page."""

    surfaces: Sequence[str]
    parameters: Mapping[str, str]

    @property
    def path(self) -> str:
        pairs = [("surface", surface) for surface in self.surfaces]
        return f"/recommend?{urlencode([*pairs, *self.parameters.items()])}"

    def read(self, answer: Mapping[str, Any]) -> list[ShownList]:
        """The lists of an answer. An item may be listed as `other_item_id`, beside the one that was asked about."""
        return [_shown(surface, answer["surfaces"][surface]) for surface in self.surfaces]


def _shown(surface: str, answer: Mapping[str, Any]) -> ShownList:
    """Raises Unusable where the service could not answer for this surface."""
    if error := answer.get("error"):
        raise Unusable(error["message"], error["hint"])
    return ShownList(
        answer["recommendation_id"],
        surface,
        answer["experiment"] or "",
        answer["variant"] or "",
        [row["other_item_id"] if "other_item_id" in row else row["item_id"] for row in answer["data"]],
    )
