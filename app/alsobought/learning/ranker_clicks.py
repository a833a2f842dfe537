"""`alsobought learn ranker --from clicks`: refit the ranker from impressions, unless that would make it worse.

The newest impressions are held out: weights that do not predict them at least as well as those in service stay out of service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from alsobought.errors import Unusable
from alsobought.learning.click_examples import (
    OF_IMPRESSIONS,
    CandidateCache,
    Columns,
    item_impressions,
    read_impressions,
    user_impressions,
)
from alsobought.learning.context import Context
from alsobought.learning.protocol import LearningResult
from alsobought.learning.ranker_versions import ITEM_MODEL, TABLE, USER_MODEL, put_into_service, rows_in_service

LABEL_DELAY = {"click": timedelta(minutes=2), "purchase": timedelta(days=1)}
"""An impression counts as one without a click only after that time: a younger one may still get it."""
HELD_OUT = 0.2  # share of the impressions, the newest
MIN_HELD_OUT_CLICKS = 10


class WorseWeights(Unusable):
    """The refitted weights predict the held-out impressions worse than those in service, which stay."""


class TooFewClicks(Unusable):
    """Too little was shown or clicked to learn from."""


@dataclass(frozen=True)
class Refitted:
    """The rows of a model, and the held-out log loss of the new weights, of those in service, and of equal scores for all."""

    rows: list[dict[str, Any]]
    loss: float
    loss_in_service: float
    loss_of_equal_scores: float
    impressions: int
    clicks: int
    source: str  # of the examinations
    examinations: list[float]

    @property
    def is_worse(self) -> bool:
        return not (self.loss <= self.loss_in_service and self.loss < self.loss_of_equal_scores)

    @property
    def line(self) -> str:
        counts = f"{self.impressions:,} impressions, {self.clicks:,} clicks (bias from {self.source})"
        return f"{counts}, held-out log loss {self.loss:.6f}, in service {self.loss_in_service:.6f}"


def learn_from_clicks(
    context: Context, options: Mapping[str, Any], source: str = "clicks", cache: CandidateCache | None = None
) -> LearningResult:
    """Puts the refitted models into service; one that got worse keeps its weights.

    Raises WorseWeights if all got worse, TooFewClicks if too little was shown or clicked.
    """
    label, cache = options["label"], cache or CandidateCache()
    begin, until = context.now - timedelta(days=options["days"]), context.now - LABEL_DELAY[options["label"]]
    newest = context.columns("newest_event")
    shown = read_impressions(context, begin, until, options["impressions"], label == "purchase")
    models = {
        ITEM_MODEL: item_impressions(context, shown, options["items"], cache),
        USER_MODEL: user_impressions(context, shown, options["people"], cache),
    }
    in_service = rows_in_service(context)
    refitted: dict[str, Refitted] = {}
    for model, examples in models.items():
        if examples is not None and _has_clicks(examples, label):
            rows = [row for row in in_service if row["model"] == model]
            refitted[model] = refit_model(examples, rows, label, options["buckets"], options["l2"])
    summary = "; ".join(
        f"{model}, {one.line}{': the old weights stay' * one.is_worse}" for model, one in refitted.items()
    )
    better = {model: one for model, one in refitted.items() if not one.is_worse}
    if not refitted:
        raise TooFewClicks(
            f"too little was clicked since {begin:%Y-%m-%d %H:%M} in lists for an item or a user, of {len(shown['listed']):,}"
            " impressions with a recommendation_id and a position",
            "Send both with the events, and let ALSOBOUGHT_RECORD_REQUESTS be on",
        )
    if not better:
        raise WorseWeights(f"the refitted weights are worse than those in service, which stay: {summary}")
    rows = [row for row in in_service if row["model"] not in better]
    rows += [{"model": model, **row} for model, one in better.items() for row in one.rows]
    inserted = put_into_service(context, rows, source)
    return LearningResult(
        events=len(shown["listed"]),
        rows={TABLE: inserted},
        quality=_quality(refitted),
        line=f"on the newest impressions: {summary}",
        until=int(newest["seq"][0]),
    )


def refit_model(examples: Columns, in_service: list[dict[str, Any]], label: str, buckets: int, l2: float) -> Refitted:
    """Refits one model, the oldest impression of `examples` first. Compared are weights that have not seen the held-out ones."""
    from alsobought.learning.click_model import calibrated_loss, formula, refit, weights_of_rows
    from alsobought.learning.examination import estimate

    features = [name for name in examples if name not in OF_IMPRESSIONS]
    prior = weights_of_rows(in_service)
    if list(prior.bounds) != features:  # none are learned, or those of another release
        prior = formula(examples, features, buckets)
    columns, clicked = prior.columns(examples), examples[_column(label)].astype(float)
    training, held_out = _split(examples)
    examination = estimate(
        columns[training], *(examples[name][training] for name in ("position", "clicked", "explored"))
    )
    labels = clicked / examination.at(examples["position"])
    fitted = refit(prior, columns[training], labels[training], l2)

    def loss(values: np.ndarray) -> float:
        return calibrated_loss(columns[held_out] @ values, labels[held_out])

    return Refitted(
        rows=list(refit(prior, columns, labels, l2).rows(examples, labels)),
        loss=loss(fitted.values),
        loss_in_service=loss(prior.values),
        loss_of_equal_scores=loss(0 * prior.values),
        impressions=len(labels),
        clicks=int(clicked.sum()),
        source=examination.source,
        examinations=examination.by_position.tolist(),
    )


def _split(examples: Columns) -> tuple[np.ndarray, np.ndarray]:
    """The indexes of the older impressions and of the newest ones."""
    size = len(examples["listed"])
    first = size - int(size * HELD_OUT)
    return np.arange(first), np.arange(first, size)


def _has_clicks(examples: Columns, label: str) -> bool:
    """True if there are enough clicks to compare, and some to learn from."""
    training, held_out = _split(examples)
    clicked = examples[_column(label)]
    return bool(clicked[held_out].sum() >= MIN_HELD_OUT_CLICKS and clicked[training].sum() >= MIN_HELD_OUT_CLICKS)


def _column(label: str) -> str:
    return "bought" if label == "purchase" else "clicked"


def _quality(refitted: Mapping[str, Refitted]) -> dict[str, float]:
    measures: dict[str, float] = {}
    for model, one in refitted.items():
        measures |= {
            f"{model}_log_loss": one.loss,
            f"{model}_log_loss_in_service": one.loss_in_service,
            f"{model}_impressions": one.impressions,
            f"{model}_clicks": one.clicks,
        }
        measures |= {f"{model}_examination_{slot}": value for slot, value in enumerate(one.examinations, 1)}
    return measures
