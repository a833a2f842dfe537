"""The results of `make quality`: one file per cell in benchmarks/quality/, a cell being a task on a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from alsobought.evaluation.bootstrap import Difference, Interval

FOLDER = Path(__file__).parent / "quality"
MEASURES = ("recall", "ndcg")


class Row(msgspec.Struct, frozen=True):
    """A pipe, a baseline or the oracle. `differences` are those of a pipe from every baseline, by measure."""

    name: str
    kind: str
    measures: dict[str, Interval]
    seconds: float
    differences: dict[str, dict[str, Difference]] = {}


class Cell(msgspec.Struct, frozen=True):
    """`skipped` has the reasons of systems without a result, `seconds` the duration with the replay of the log."""

    dataset: str
    event_type: str
    task: str
    train_before: str
    days: int
    queries: int
    users: int
    seconds: float
    rows: list[Row]
    skipped: dict[str, str] = {}

    @property
    def pipes(self) -> list[Row]:
        return [row for row in self.rows if row.kind == "pipe"]

    @property
    def baselines(self) -> list[Row]:
        return [row for row in self.rows if row.kind == "baseline"]

    def best(self, measure: str) -> Row | None:
        """The baseline with the highest mean."""
        return max(self.baselines, key=lambda row: row.measures[measure].mean, default=None)

    def verdict(self, pipe: Row, measure: str) -> str:
        """below or above, if the interval of the difference from the best baseline excludes 0; else level."""
        best = self.best(measure)
        if best is None or best.name not in pipe.differences:
            return ""
        distance = pipe.differences[best.name][measure]
        return "below" if distance.high < 0 else "above" if distance.low > 0 else "level"


def path_of(dataset: str, event_type: str, task: str, folder: Path = FOLDER) -> Path:
    return folder / f"{dataset}.{event_type}.{task}.json"


def save(cell: Cell, folder: Path = FOLDER) -> None:
    folder.mkdir(exist_ok=True)
    path = path_of(cell.dataset, cell.event_type, cell.task, folder)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(_rounded(cell)), indent=1) + b"\n")


def load(dataset: str, event_type: str, task: str, folder: Path = FOLDER) -> Cell | None:
    path = path_of(dataset, event_type, task, folder)
    return msgspec.json.decode(path.read_bytes(), type=Cell) if path.exists() else None


def _rounded(value: object) -> object:
    """Builtins with five digits: what is committed should not differ in noise."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(member) for key, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(member) for member in value]
    return value if isinstance(value, (str, int)) or value is None else _rounded(msgspec.to_builtins(value))
