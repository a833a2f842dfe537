"""`alsobought evaluate`, and the sources of its log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from alsobought.cli.main import main
from alsobought.demo import journey
from alsobought.errors import Unusable
from alsobought.evaluation.gates import read_gates
from alsobought.evaluation.shop_log import Head
from alsobought.evaluation.sources import Source, open_source
from alsobought.events import Event, Rules, read_events
from alsobought.settings import Settings
from tests.support.engines import Engine
from tests.support.process import Run, assert_error, running, serving
from tests.support.project import ROOT

DAYS = 28


def with_journey(reserved: datetime | None) -> Source:
    ends = datetime(2018, 1, 1, tzinfo=UTC)
    return Source("the Complete Journey", "journey", ends, list, lambda _: iter(()), lambda _: 0, reserved)


@pytest.mark.parametrize(
    ("day", "days"), [("2017-11-06", 29), ("2017-11-07", 28), ("2017-12-04", 1), ("2017-12-25", 3)]
)
def test_no_window_extends_into_the_reserved_days(day: str, days: int) -> None:
    """An error before anything is read or replayed."""
    words = ["evaluate", "for_you", "--dataset", "journey", "--train-before", day, "--days", days]
    ran = CliRunner().invoke(main, [*map(str, words)])
    latest = datetime(2017, 12, 4, tzinfo=UTC) - timedelta(days=days)
    assert ran.exit_code == 1
    output = " ".join(ran.output.split())
    assert (
        "extend beyond 2017-12-04; from that day on the Complete Journey is reserved for a final measurement" in output
    )
    assert f"--train-before {latest:%Y-%m-%d} or earlier" in output


def test_the_default_is_the_last_window_before_the_reserved_days() -> None:
    with open_source(Settings(), "journey") as source:
        assert source.split(None, 28).train_before == datetime(2017, 11, 6, tzinfo=UTC)
        assert source.split(datetime(2017, 11, 6, tzinfo=UTC), 28).end == datetime(2017, 12, 4, tzinfo=UTC)
        assert source.split(None, 7).train_before == datetime(2017, 11, 27, tzinfo=UTC)
        (newest,) = journey.events(0, source.size(source.split(None, 7).end) - 1, 1)
    assert str(newest.timestamp) < "2017-12-04"


def test_in_a_shop_with_the_demo_data_the_shifted_days_are_reserved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weeks = 400
    shift, offset = timedelta(weeks=weeks), journey.size() - 1
    (newest,) = journey.events(weeks, offset, 1)
    assert isinstance(newest.timestamp, datetime)
    head = Head(0, offset + 1, newest.timestamp, (offset, newest.timestamp))
    monkeypatch.setattr(
        "alsobought.evaluation.sources._write_log",
        lambda _, path: path.write_bytes(json.dumps(msgspec.to_builtins(head)).encode()),
    )
    with open_source(Settings(), None) as source:
        assert source.reserved == datetime(2017, 12, 4, tzinfo=UTC) + shift
        assert source.split(None, 28).train_before == datetime(2017, 11, 6, tzinfo=UTC) + shift
        with pytest.raises(Unusable, match="reserved for a final measurement"):
            source.split(datetime(2017, 11, 7, tzinfo=UTC) + shift, 28)


def test_a_day_after_the_log_is_an_error() -> None:
    with pytest.raises(Unusable, match=r"the Complete Journey has no event from 2018-02-01 or later.*2018-01-01"):
        with_journey(None).split(datetime(2018, 2, 1, tzinfo=UTC), 28)


# The shop's own


@pytest.fixture(scope="module")
def orders() -> list[dict[str, Any]]:
    """Tea and a mug are bought together; every user buys the same again a month later."""
    first = datetime(2026, 1, 1, 12, tzinfo=UTC)
    return [
        {
            "event_type": "purchase",
            "user_id": f"u{user}",
            "order_id": f"o{user}-{month}",
            "item_id": item,
            "timestamp": (first + timedelta(days=28 * month, minutes=user)).isoformat(),
            "properties": {"colour": "blue"},
        }
        for month in range(3)
        for user in range(4)
        for item in ("tea", "mug", f"own{user}")
    ]


@pytest.mark.thorough
@pytest.mark.embedded
def test_the_shops_own_log_is_evaluated_with_and_without_a_running_service(
    on: Engine, tmp_path: Path, orders: list[dict[str, Any]]
) -> None:
    run = running(tmp_path / "data")
    words = ["evaluate", "also_bought", "--days", str(DAYS), "--baseline", "co-occurrence", "--json"]

    def evaluated(*more: str) -> dict[str, Any]:
        """In this process, whose one warehouse is in memory: another process must read the log."""
        ran = CliRunner().invoke(main, [*words, *more], env=run.settings)
        assert ran.exit_code == 0, ran.output
        report: dict[str, Any] = json.loads(ran.output)
        assert (report["people"], report["learnt"]) == (report["users"], report["learned"])  # the deprecated names
        return report

    with serving(run) as service:
        assert service.ask("/items?wait=true", [{"item_id": "tea", "category": "A"}])[0] == 200
        assert service.ask("/events?wait=true", orders)[0] == 200
        report = evaluated("--save", str(tmp_path / "lists.ndjson"))
        assert service.ask("/pipes/also_bought?item_id=tea")[1]["rows"] == 5
    assert report["train_before"] == "2026-01-30T00:00:00Z"
    assert (report["questions"], report["users"], report["against"]) == (4, 4, "co-occurrence")
    pipe, baseline = report["systems"]
    assert pipe["measures"]["recall"]["mean"] == baseline["measures"]["recall"]["mean"] == 1.0
    assert set(pipe["against"]) == {"recall", "ndcg", "hit", "mrr"}
    lines = [json.loads(line) for line in (tmp_path / "lists.ndjson").read_text().splitlines()]
    assert {line["user"] for line in lines} == {"u0", "u1", "u2", "u3"}
    assert all(set(line["truth"]) <= set(line["lists"]["also_bought"]) for line in lines)
    alone = evaluated()
    for result in (report, alone):
        for system in result["systems"]:
            for name in ("seconds", "p50_milliseconds", "p99_milliseconds"):
                del system[name]
    assert alone == report


@pytest.mark.embedded
def test_a_shop_without_events_or_warehouse_is_an_error(run_migrated: Run, tmp_path: Path) -> None:
    assert_error(run_migrated("evaluate", "for_you"), "there are no events to evaluate on", "--dataset")
    assert_error(running(tmp_path / "none")("evaluate", "for_you"), "there is no warehouse in", "migrate up")


# Gates

GATE = """
pipe: also_bought
train_before: 2026-02-01
task: also-bought
set: {limit: 5}
floor: {recall: %s, ndcg: %s}
"""


@pytest.mark.embedded
def test_a_pipe_below_its_floor_fails(
    on: Engine, tmp_path: Path, orders: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    events, _ = read_events([json.dumps(order).encode() for order in orders], Rules(datetime.now(UTC)))

    def batches(before: datetime) -> Iterator[list[Event]]:
        yield [event for event in events if event.timestamp < before]  # type: ignore[operator]

    source = Source("a log", "log", datetime(2026, 3, 1, tzinfo=UTC), list, batches, lambda _: len(events))
    monkeypatch.setattr("alsobought.evaluation.gates.open_source", lambda *_: nullcontext(source))
    reached, missed = tmp_path / "reached.yaml", tmp_path / "missed.yaml"
    reached.write_text(GATE % (1.0, 0.5))
    missed.write_text(GATE % (1.0, 1.0))
    ran = CliRunner().invoke(main, ["evaluate", "--gate", str(reached)])
    assert (ran.exit_code, ran.output.split()[4:6]) == (0, ["ok", "reached"])
    ran = CliRunner().invoke(main, ["evaluate", "--gate", str(reached), "--gate", str(missed), "--json"])
    assert ran.exit_code == 1
    assert [gate["name"] for gate in json.loads(ran.output)] == ["reached", "missed"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pipe: for_you\n", "missing required field `floor`"),
        ("pipe: for_you\nfloor: {recal: 0.1}\n", "unknown field `recal`"),
        ("pipe: for_you\nfloor: {recall: 7}\n", "<= 1"),
    ],
)
def test_an_invalid_gate_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "gate.yaml").write_text(text)
    ran = CliRunner().invoke(main, ["evaluate", "--gate", str(tmp_path / "gate.yaml")])
    assert ran.exit_code == 1
    assert message in " ".join(ran.output.split())


def test_the_gates_of_the_project_are_valid() -> None:
    gates = read_gates(sorted((ROOT / "tests" / "quality").glob("*.yaml")))
    assert {gate.pipe for gate in gates.values()} >= {"also_bought", "for_you"}
    for name, gate in gates.items():
        assert min(gate.floor.recall, gate.floor.ndcg) > 0, name
        if gate.dataset == "journey":
            with open_source(Settings(), gate.dataset) as source:
                source.split(gate.plan.train_before, gate.days)  # raises for reserved days
