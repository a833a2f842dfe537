"""The baselines by their names. What one needs is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from alsobought.errors import Unusable
from alsobought.evaluation.log import Purchases
from alsobought.evaluation.tasks import Query
from alsobought.events import Item


class Baseline(Protocol):
    """`tasks` are those it can do. `fit` sees nothing but the past; `recommend` gives at most k items a question."""

    tasks: Sequence[str]

    def fit(self, past: Purchases, items: Mapping[str, Item], task: str) -> None: ...

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]: ...


# name: (module, what is called there, with what)
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


def baseline(name: str, task: str) -> Baseline:
    """A baseline that learns and recommends for this task. Raises Unusable."""
    module, maker, given = BASELINES[name]
    try:
        made: Baseline = getattr(import_module(f"alsobought.evaluation.baselines.{module}"), maker)(**given)
    except ImportError as error:
        raise Unusable(
            f"the baseline {name} needs {error.name}, which is not installed",
            "pip install 'alsobought[baselines]' brings it",
        ) from error
    if task not in made.tasks:
        fit = ", ".join(other for other in BASELINES if other != name)
        raise Unusable(
            f"the baseline {name} does not do --task {task}", f"It does {', '.join(made.tasks)}; there are {fit}"
        )
    return made
