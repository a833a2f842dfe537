"""Write obp.json: what obp estimates from a synthetic log. In an environment of its own, since obp requires torch, which its
estimators for discrete actions do not use, and old versions of the others:

python3.11 -m venv /tmp/obp && /tmp/obp/bin/pip install --no-deps obp && \\
/tmp/obp/bin/pip install "numpy<2" "scipy<1.11" "scikit-learn<1.4" "pandas<2.2" tqdm pyyaml && \\
/tmp/obp/bin/python -m tests.off_policy.make_obp
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np

from tests.off_policy.logged_lists import CANDIDATES, SLOTS, Logged, logged_lists

HERE = Path(__file__).resolve().parent
SEED = 7


def main() -> None:
    log = logged_lists(SEED)
    random = np.random.default_rng(SEED)
    model = random.uniform(0.05, 0.3, (CANDIDATES, SLOTS))  # any model of the reward: DR must be equal for each
    content = {
        "obp": importlib.metadata.version("obp"),
        "seed": SEED,
        "model": model.tolist(),
        **_estimates(log, model),
    }
    (HERE / "obp.json").write_text(json.dumps(content, indent=1) + "\n")


def _estimates(log: Logged, model: np.ndarray) -> dict[str, float]:
    estimators = _estimators()
    rounds = np.arange(len(log.items))
    action_dist = np.zeros((len(rounds), CANDIDATES, SLOTS))
    action_dist[rounds, log.new_items] = 1  # at every position: obp reads that of the round
    given = {
        "reward": log.rewards,
        "action": log.items,
        "pscore": log.propensities,
        "action_dist": action_dist,
        "position": log.positions - 1,
        "estimated_rewards_by_reg_model": np.broadcast_to(model, (len(rounds), CANDIDATES, SLOTS)).copy(),
    }
    names = {
        "ips": "InverseProbabilityWeighting",
        "snips": "SelfNormalizedInverseProbabilityWeighting",
        "dr": "DoublyRobust",
    }
    return {key: float(getattr(estimators, name)().estimate_policy_value(**given)) for key, name in names.items()}


def _estimators() -> ModuleType:
    """obp.ope.estimators, without what else obp.ope imports."""
    spec = importlib.util.find_spec("obp")
    assert spec
    assert spec.submodule_search_locations
    package = ModuleType("obp.ope")
    package.__path__ = [str(Path(spec.submodule_search_locations[0]) / "ope")]
    sys.modules |= {"torch": MagicMock(), "obp.ope": package}
    return importlib.import_module("obp.ope.estimators")


if __name__ == "__main__":
    main()
