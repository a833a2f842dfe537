"""The learners that there are, and a run of one. A new one is a line here."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches

from alsobought.errors import Unusable
from alsobought.learning.context import Context
from alsobought.learning.embeddings import Embeddings
from alsobought.learning.neighbours import Neighbours
from alsobought.learning.protocol import Learner, Value, defaults
from alsobought.learning.ranker import Ranker
from alsobought.learning.runs import LearningRun, note

LEARNERS: dict[str, Learner] = {learner.name: learner for learner in (Neighbours(), Embeddings(), Ranker())}
LIBRARIES = ("numpy", "scipy", "sklearn")


def named(name: str) -> Learner:
    """Raises Unusable if there is none."""
    if name not in LEARNERS:
        near = get_close_matches(name, LEARNERS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(LEARNERS)}"
        raise Unusable(f"nothing called {name!r} can be learnt", hint)
    return LEARNERS[name]


def filling(tables: Collection[str]) -> list[Learner]:
    """Those that fill any of these tables: what a pipe that reads them needs first."""
    return [learner for learner in LEARNERS.values() if set(learner.tables) & set(tables)]


def learn(name: str, context: Context, options: Mapping[str, Value] | None = None) -> LearningRun:
    """Runs a learner, with its defaults for what `options` do not say, and notes the run.

    Raises Unusable for an option that it has not, for libraries that are not installed, and where there is nothing to learn of.
    """
    learner, asked = named(name), dict(options or {})
    known = defaults(learner)
    if strange := sorted(asked.keys() - known.keys()):
        raise Unusable(f"{name} has no option {strange[0]!r}", f"There are {', '.join(known) or 'none'}")
    began = time.monotonic()
    try:
        report = learner.learn(context, **{**known, **asked})
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in LIBRARIES:
            raise Unusable(f"{error.name} is not installed", "pip install 'alsobought[learn]'") from error
        raise
    return note(context.warehouse, name, {**known, **asked}, report, datetime.now(UTC), time.monotonic() - began)
