"""`alsobought experiments` and `experiment`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.process import running
from tests.support.project import project_folder

PLANNED = """
ranked:
  surface: product_page.bottom
  guardrails: [{metric: click_through_rate, at_most_worse: 2%}]
  from: 2999-01-01
  variants: {control: {share: 50%}, ranked: {share: 50%, pipe: also_bought_ranked}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = project_folder(tmp_path / "home")
    (home / "sql" / "experiments.yaml").write_text(PLANNED)
    return home


def test_an_experiment_is_listed_and_shown(home: Path, migrated_folder: Path) -> None:
    run = running(migrated_folder).at(home)
    listed = run("experiments")
    assert listed.status == 0, listed.err
    assert listed.out.split("\n")[1:3] == [
        "  planned on product_page.bottom, since 2999-01-01",
        "  It begins on 2999-01-01.",
    ]
    shown = run("experiment", "ranked", "--json")
    assert (shown.status, json.loads(shown.out)["variants"][1]["name"]) == (0, "ranked")
    unknown = run("experiment", "rank")
    assert (unknown.status, unknown.err) == (1, "alsobought: there is no experiment 'rank'. There are ranked\n")
