"""Write ranx.json: the measures of ranx for random lists. In an environment of its own, since numba is large:

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
    generator = random.Random(5)
    items = [f"i{n}" for n in range(40)]
    queries = []
    for number in range(25):
        shown = generator.sample(items, generator.randint(1, 20))
        truth = sorted(generator.sample(items, generator.randint(1, 15)))
        lists = {f"q{number}": {item: float(len(shown) - rank) for rank, item in enumerate(shown)}}
        qrels = Qrels({f"q{number}": dict.fromkeys(truth, 1)})
        measures = {name: float(evaluate(qrels, Run(lists), ranx_name)) for name, ranx_name in NAMES.items()}
        queries.append({"list": shown, "truth": truth, "measures": measures})
    content = {"ranx": importlib.metadata.version("ranx"), "at": CUT, "questions": queries}
    (HERE / "ranx.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
