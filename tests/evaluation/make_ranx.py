"""Writes ranx.json beside it: what ranx says of lists drawn at random. In an environment of its own, since numba is heavy:

python -m venv /tmp/ranx && /tmp/ranx/bin/pip install ranx && /tmp/ranx/bin/python tests/evaluation/make_ranx.py
"""

from __future__ import annotations

import importlib.metadata
import json
import random
from pathlib import Path

from ranx import Qrels, Run, evaluate

HERE = Path(__file__).resolve().parent

CUT = 10
NAMES = {"recall": f"recall@{CUT}", "ndcg": f"ndcg@{CUT}", "hit": f"hit_rate@{CUT}", "mrr": f"mrr@{CUT}"}


def main() -> None:
    draw = random.Random(5)
    items = [f"i{n}" for n in range(40)]
    asked = []
    for number in range(25):
        shown = draw.sample(items, draw.randint(1, 20))
        truth = sorted(draw.sample(items, draw.randint(1, 15)))
        lists = {f"q{number}": {item: float(len(shown) - place) for place, item in enumerate(shown)}}
        qrels = Qrels({f"q{number}": dict.fromkeys(truth, 1)})
        found = {ours: float(evaluate(qrels, Run(lists), theirs)) for ours, theirs in NAMES.items()}
        asked.append({"list": shown, "truth": truth, "measures": found})
    made = {"ranx": importlib.metadata.version("ranx"), "at": CUT, "questions": asked}
    (HERE / "ranx.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
