"""The baselines by name, with their options. Each is imported on demand, with the libraries that it needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from alsobought.errors import Unusable
from alsobought.evaluation.log import Interactions
from alsobought.evaluation.tasks import Query
from alsobought.items import Item


class TooFewRows(Exception):
    """The past of a log is too small to train a baseline; the message has the reason."""


class Baseline(Protocol):
    """`tasks` are those it supports. `fit` reads only the past; `recommend` returns at most k items per query."""

    tasks: Sequence[str]

    def fit(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:
        """Raises TooFewRows."""

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]: ...


# name: (module, factory, fixed arguments)
BASELINES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "popularity": ("popular", "Popularity", {}),
    "personal": ("personal", "frequency", {}),
    "personal-halflife": ("personal", "half_life", {}),
    "personal-baskets": ("personal", "by_baskets", {}),
    "co-occurrence": ("co_occurrence", "CoOccurrence", {"weighted": False, "users": False}),
    "co-occurrence-weighted": ("co_occurrence", "CoOccurrence", {"weighted": True, "users": False}),
    "co-occurrence-users": ("co_occurrence", "CoOccurrence", {"weighted": False, "users": True}),
    "session-knn": ("session_knn", "SessionKNN", {}),
    "user-cf": ("user_cf", "UserCF", {}),
    "user-cf-popularity": ("user_cf", "UserCF", {"popular": 1.0}),
    "ease": ("ease", "Ease", {}),
    "als": ("als", "Als", {}),
    "swing": ("swing", "Swing", {}),
    "lightgbm": ("lightgbm_rank", "LightGBM", {}),
}


def is_baseline(text: str) -> bool:
    """True for the name of a baseline, also with options: `ease:items=4000,l2=200`."""
    return text.partition(":")[0] in BASELINES


def create_baseline(text: str, task: str) -> Baseline:
    """An unfitted baseline. Raises Unusable if it does not support the task, has no such option, or a library is missing."""
    name, _, options = text.partition(":")
    module, factory_name, fixed = BASELINES[name]
    try:
        factory = getattr(import_module(f"alsobought.evaluation.baselines.{module}"), factory_name)
    except ImportError as error:
        raise Unusable(
            f"the baseline {name} needs {error.name}, which is not installed",
            "Install it with pip install 'alsobought[baselines]'",
        ) from error
    created: Baseline = factory(**fixed, **_arguments(name, options, factory, fixed))
    if task not in created.tasks:
        others = ", ".join(other for other in BASELINES if other != name)
        raise Unusable(
            f"the baseline {name} does not support --task {task}",
            f"It supports {', '.join(created.tasks)}; other baselines are {others}",
        )
    return created


def _arguments(name: str, options: str, factory: Callable[..., Baseline], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a baseline, each of the type of its default; a number where that is None. Raises Unusable."""
    defaults = {
        option: parameter.default
        for option, parameter in inspect.signature(factory).parameters.items()
        if option not in fixed
    }
    arguments: dict[str, Any] = {}
    for one in filter(None, options.split(",")):
        option, _, value = one.partition("=")
        if option not in defaults:
            known = ", ".join(f"{option}={default}" for option, default in defaults.items()) or "none"
            raise Unusable(f"the baseline {name} has no option {option!r}", f"With their defaults, there are {known}")
        try:
            arguments[option] = int(value) if isinstance(defaults[option], int) else float(value)
            if arguments[option] < 0:
                raise ValueError(value)
        except ValueError as error:
            kind = "whole number" if isinstance(defaults[option], int) else "number"
            raise Unusable(
                f"the baseline {name}: {option} is {value!r}, not a {kind} from 0 on",
                f"{name}:{option}={defaults[option]}",
            ) from error
    return arguments
