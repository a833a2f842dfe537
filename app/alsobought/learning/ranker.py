"""`alsobought learn ranker`: the weight of each feature of a pair of items, from what users then bought or clicked.

Point in time: with `--from orders`, candidates and features are computed as of a midnight `days` before now, by the SQL that
serves, from the events before it; the labels are the orders from then on. `--from clicks` is in `ranker_clicks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from alsobought.learning.context import Context
from alsobought.learning.protocol import LearningResult, Option
from alsobought.learning.ranker_versions import ITEM_MODEL, TABLE, USER_MODEL, VERSIONS, put_into_service, roll_back

NOT_FEATURES = ("item_key", "other_item_key", "times", "decayed", "asked", "bought", "held")


@dataclass(frozen=True)
class Ranker:
    name: str = "ranker"
    about: str = "Learn to rank, from what users then bought or clicked: for also_bought_ranked and rank."
    example: str = "alsobought learn ranker --items 6000"
    tables: tuple[str, ...] = (TABLE, VERSIONS)
    options: tuple[Option, ...] = (
        Option(
            "from", str, "orders", "Learn from orders, or from clicks on what was shown.", choices=("orders", "clicks")
        ),
        Option(
            "label",
            str,
            "click",
            "With --from clicks: learn to get clicks or purchases.",
            choices=("click", "purchase"),
        ),
        Option("impressions", int, 100_000, "With --from clicks: number of impressions, the newest.", minimum=100),
        Option("items", int, 8000, "Number of items to learn from, the most bought.", minimum=10, maximum=100_000),
        Option("people", int, 300, "Number of users to learn from; 0 to skip users.", minimum=0, maximum=100_000),
        Option("days", int, 28, "Days of purchases to learn from.", minimum=1, maximum=365),
        Option("buckets", int, 10, "Number of buckets of each feature.", minimum=2, maximum=100),
        Option(
            "l2",
            float,
            1.0,
            "L2 regularisation: larger values give smaller weights.",
            minimum=1e-6,
            maximum=1e6,
            deprecated_name="caution",
        ),
        Option("roll_back", bool, False, "Return to the weights before those in service; learn nothing."),
    )

    def learn(self, context: Context, **options: Any) -> LearningResult:
        """Raises Unusable if too little was bought or clicked in the `days` before now, WorseWeights if clicks made it worse."""
        if options["roll_back"]:
            return roll_back(context)
        if options["from"] == "clicks":
            from alsobought.learning.ranker_clicks import learn_from_clicks

            return learn_from_clicks(context, options)
        return self._learn_from_orders(context, options)

    def _learn_from_orders(self, context: Context, options: Mapping[str, Any]) -> LearningResult:
        from alsobought.learning.logistic import evaluate_model, fit_weights
        from alsobought.learning.ranker_examples import item_examples, midnight, user_examples

        begin, until = midnight(context.now - timedelta(days=options["days"])), context.now
        newest = context.columns("newest_event")
        pairs, orders = item_examples(context, begin, until, options["items"])
        models = {ITEM_MODEL: pairs}
        candidates = user_examples(context, begin, until, options["people"])
        if candidates is not None:
            models[USER_MODEL] = candidates
        quality: dict[str, float] = {}
        rows: list[dict[str, Any]] = []
        with context.bar("Learning the weights", len(models), "models") as advance:
            for model, examples in models.items():
                features = [name for name in examples if name not in NOT_FEATURES]
                arguments = (examples, features, options["buckets"], options["l2"])
                measures = evaluate_model(*arguments, held_out=examples["held"])
                quality |= {f"{model}_{measure}": value for measure, value in measures.items()}
                quality[f"{model}_examples"] = len(examples["asked"])
                rows += [{"model": model, **row} for row in fit_weights(*arguments)]
                advance(1)
        inserted = put_into_service(context, rows, "orders")
        summaries = "; ".join(_summary(model, quality) for model in models)
        return LearningResult(
            events=orders,
            rows={TABLE: inserted},
            quality=quality,
            line=f"as of {begin:%Y-%m-%d}, on held-out examples: {summaries}",
            until=int(newest["seq"][0]),
        )


def _summary(model: str, quality: dict[str, float]) -> str:
    measures = [
        f"{title} {quality[f'{model}_{name}']:.4f} (formula {quality[f'{model}_{name}_of_formula']:.4f})"
        for name, title in (("auc", "AUC"), ("log_loss", "log loss"))
    ]
    return f"{model}, {int(quality[f'{model}_examples']):,} examples, " + ", ".join(measures)
