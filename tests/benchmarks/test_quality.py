"""The page of `make quality`, from results made here."""

from __future__ import annotations

from pathlib import Path

from alsobought.evaluation.bootstrap import Difference, Interval
from alsobought.evaluation.gates import Floor, Gate, read_gates
from benchmarks.quality import Task, below_floors, tasks_of
from benchmarks.quality_page import page_text
from benchmarks.quality_results import Cell, Row, load, save
from tests.support.project import ROOT


def around(mean: float) -> Interval:
    return Interval(mean, round(mean - 0.01, 5), round(mean + 0.01, 5))


def distance(mean: float) -> Difference:
    return Difference(mean, round(mean - 0.01, 5), round(mean + 0.01, 5), float(mean > 0))


def row(name: str, kind: str, recall: float, ndcg: float, **differences: tuple[float, float]) -> Row:
    measures = {"recall": around(recall), "ndcg": around(ndcg)}
    by_name = {other: {"recall": distance(r), "ndcg": distance(n)} for other, (r, n) in differences.items()}
    return Row(name, kind, measures, 1.0, by_name)


PIPE = row("for_you", "pipe", 0.20, 0.20, popularity=(0.1, 0.1), ease=(-0.02, 0.005))
CELL = Cell(
    "media",
    "view",
    "next",
    "2025-11-10",
    14,
    1_200,
    900,
    12.0,
    [
        PIPE,
        row("popularity", "baseline", 0.1, 0.1),
        row("ease", "baseline", 0.22, 0.195),
        row("oracle", "oracle", 0.4, 0.4),
    ],
    {"als": "too few rows"},
)
GATES = {
    "one": Gate("for_you", Floor(0.15, 0.21), dataset="media", event_type="view", task="next"),
    "two": Gate("for_you", Floor(0.1, 0.1), dataset="media", event_type="view", task="window"),
    "journey": Gate("for_you", Floor(0.1, 0.1), dataset="journey", task="next"),
}


def test_a_result_is_read_as_it_was_saved(tmp_path: Path) -> None:
    save(CELL, tmp_path)
    assert load("media", "view", "next", tmp_path) == CELL
    assert load("media", "view", "window", tmp_path) is None


def test_the_table_marks_what_is_significantly_below_the_best_baseline(tmp_path: Path) -> None:
    save(CELL, tmp_path)
    page = page_text(tasks_of(GATES), tmp_path)
    assert (
        "| `media` | view | next | `for_you` | ▼ .2000 | .2200 ease | -.0200 (-.0300 -.0100) |"
        " .2000 | .1950 ease | +.0050 (-.0050 +.0150) |"
    ) in page
    assert "| `media` | view | window | `for_you` | not run | | | | | |" in page
    assert "| *the true probabilities: a ceiling* | .4000 (.3900 .4100) |" in page
    assert "| `als` | not measured: too few rows | | |" in page
    assert "Of 2 comparisons with the best baseline, 0 are significantly above, 1 level and 1 below." in page


def test_a_measure_below_its_floor_is_named() -> None:
    (line,) = below_floors(Task("media", "view", "next", {"one": GATES["one"]}), CELL)
    assert line == "one: ndcg is 0.2000, below its floor 0.2100"


def test_there_are_six_kinds_of_data_and_the_journey_is_last() -> None:
    tasks = tasks_of(read_gates(sorted((ROOT / "tests" / "quality").glob("*.yaml"))))
    assert len({task.dataset for task in tasks}) >= 6
    assert tasks[-1].dataset == "journey"


def test_the_page_is_that_of_the_results() -> None:
    page = ROOT / "docs" / "explanation" / "quality-table.md"
    tasks = tasks_of(read_gates(sorted((ROOT / "tests" / "quality").glob("*.yaml"))))
    assert page.read_text(encoding="utf-8") == page_text(tasks)
