"""Results are saved as they come, and taken up by a later run."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from alsobought import console
from alsobought.evaluation.report import SystemLists
from alsobought.evaluation.results import Results, SavedSystem, result_key
from alsobought.evaluation.tasks import Query

QUERIES = [Query("ada", frozenset({"tea"})), Query("bob", frozenset({"pot"}))]


def saved(name: str, *items: str) -> SavedSystem:
    return SavedSystem(
        result_key(name=name), SystemLists(name, True, [list(items)] * 2, [0.5], 0, 2.0), {"ranker": "x"}
    )


def test_the_lists_of_each_system_are_in_the_file_when_they_are_done(tmp_path: Path) -> None:
    path = tmp_path / "lists.ndjson"
    results = Results(path)
    results.add(saved("one", "tea"), QUERIES)
    assert [json.loads(line)["lists"] for line in path.read_text().splitlines()] == [{"one": ["tea"]}] * 2
    results.add(saved("two", "pot"), QUERIES)
    assert [json.loads(line)["lists"] for line in path.read_text().splitlines()] == [
        {"one": ["tea"], "two": ["pot"]}
    ] * 2


def test_a_run_that_was_stopped_is_resumed(tmp_path: Path) -> None:
    path, one = tmp_path / "lists.ndjson", saved("one", "tea")
    Results(path).add(one, QUERIES)
    with (tmp_path / "lists.ndjson.systems").open("ab") as file:
        file.write(b'{"key": "half a li')  # killed
    resumed = Results(path, resume=True)
    assert resumed.earlier(one.key) == one
    assert resumed.earlier(result_key(name="two")) is None
    resumed.add(one, QUERIES)
    resumed.add(saved("two", "pot"), QUERIES)
    lines = (tmp_path / "lists.ndjson.systems").read_text().splitlines()
    assert [json.loads(line)["system"]["name"] for line in lines] == ["one", "two"]
    Results(path)
    assert Results(path, resume=True).earlier(one.key) is None, "a run without --resume begins anew"


def test_progress_without_a_terminal_is_a_line_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LINE_SECONDS", 0.001)
    text = io.StringIO()
    with console.late_lines(Console(file=text, width=200), "Querying [pipe]", 2_000, "queries") as advance:
        advance(1_200)
        deadline = time.monotonic() + 10
        while "queries" not in text.getvalue() and time.monotonic() < deadline:
            pass
    assert "Querying [pipe]: 1,200 of 2,000 queries, 0 s\n" in text.getvalue()
