"""The baselines by name. Each is imported on demand, with the libraries that it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from alsobought.errors import Unusable
from alsobought.evaluation.log import Purchases
from alsobought.evaluation.tasks import Query
from alsobought.items import Item


class Baseline(Protocol):
    """`tasks` are those it supports. `fit` reads only the past; `recommend` returns at most k items per query."""

    tasks: Sequence[str]

    def fit(self, past: Purchases, items: Mapping[str, Item], task: str) -> None: ...

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]: ...


# name: (module, factory, arguments)
BASELINES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "popularity": ("popular", "Popularity", {}),
    "personal": ("personal", "frequency", {}),
    "personal-halflife": ("personal", "half_life", {}),
    "personal-baskets": ("personal", "by_baskets", {}),
    "co-occurrence": ("co_occurrence", "CoOccurrence", {}),
    "co-occurrence-weighted": ("co_occurrence", "CoOccurrence", {"weighted": True}),
    "user-cf": ("user_cf", "UserCF", {}),
    "ease": ("ease", "Ease", {}),
    "als": ("als", "Als", {}),
    "swing": ("swing", "Swing", {}),
    "lightgbm": ("lightgbm_rank", "LightGBM", {}),
}


def create_baseline(name: str, task: str) -> Baseline:
    """An unfitted baseline. Raises Unusable if it does not support the task, or a library is missing."""
    module, factory, arguments = BASELINES[name]
    try:
        created: Baseline = getattr(import_module(f"alsobought.evaluation.baselines.{module}"), factory)(**arguments)
    except ImportError as error:
        raise Unusable(
            f"the baseline {name} needs {error.name}, which is not installed",
            "Install it with pip install 'alsobought[baselines]'",
        ) from error
    if task not in created.tasks:
        others = ", ".join(other for other in BASELINES if other != name)
        raise Unusable(
            f"the baseline {name} does not support --task {task}",
            f"It supports {', '.join(created.tasks)}; other baselines are {others}",
        )
    return created
