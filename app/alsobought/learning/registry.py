"""The registered learners, and how one is run. To add a learner, add it to LEARNERS."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches

from alsobought.errors import Unusable
from alsobought.learning.context import Context
from alsobought.learning.embeddings import Embeddings
from alsobought.learning.neighbours import Neighbours
from alsobought.learning.protocol import Learner, Value, current_options, default_options
from alsobought.learning.ranker import Ranker
from alsobought.learning.runs import LearningRun, record_run

LEARNERS: dict[str, Learner] = {learner.name: learner for learner in (Neighbours(), Embeddings(), Ranker())}
LIBRARIES = ("numpy", "scipy", "sklearn")


def find_learner(name: str) -> Learner:
    """Raises Unusable for an unknown name."""
    if name not in LEARNERS:
        matches = get_close_matches(name, LEARNERS, n=1)
        hint = f"Did you mean {matches[0]}?" if matches else f"There are {', '.join(LEARNERS)}"
        raise Unusable(f"there is no learner {name!r}", hint)
    return LEARNERS[name]


def learners_of(tables: Collection[str]) -> list[Learner]:
    """The learners that fill any of these tables, which a pipe that reads them needs to run first."""
    return [learner for learner in LEARNERS.values() if set(learner.tables) & set(tables)]


def learn(name: str, context: Context, options: Mapping[str, Value] | None = None) -> LearningRun:
    """Runs a learner, with defaults for missing options, and records the run.

    Raises Unusable for an unknown option, a library that is not installed, and too little data.
    """
    learner = find_learner(name)
    defaults, chosen = default_options(learner), current_options(learner, options or {})
    if unknown := sorted(chosen.keys() - defaults.keys()):
        raise Unusable(f"{name} has no option {unknown[0]!r}", f"There are {', '.join(defaults) or 'none'}")
    started = time.monotonic()
    try:
        result = learner.learn(context, **{**defaults, **chosen})
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in LIBRARIES:
            raise Unusable(f"{error.name} is not installed", "pip install 'alsobought[learn]'") from error
        raise
    seconds = time.monotonic() - started
    return record_run(context.warehouse, name, {**defaults, **chosen}, result, datetime.now(UTC), seconds)
