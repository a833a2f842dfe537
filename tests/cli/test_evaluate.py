"""`alsobought evaluate`, and where its log comes from."""

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
from alsobought.evaluation.sources import Source, opened
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
def test_no_window_reaches_what_is_reserved_of_the_year(day: str, days: int) -> None:
    """Before anything is read or replayed."""
    words = ["evaluate", "for_you", "--dataset", "journey", "--train-before", day, "--days", days]
    ran = CliRunner().invoke(main, [*map(str, words)])
    latest = datetime(2017, 12, 4, tzinfo=UTC) - timedelta(days=days)
    assert ran.exit_code == 1
    said = " ".join(ran.output.split())
    assert "reach 2017-12-04, from where on the Complete Journey is reserved for a final measurement" in said
    assert f"--train-before {latest:%Y-%m-%d} or an earlier day" in said


def test_windows_before_it_are_measured_and_the_last_of_them_is_the_default() -> None:
    with opened(Settings(), "journey") as source:
        assert source.split(None, 28).train_before == datetime(2017, 11, 6, tzinfo=UTC)
        assert source.split(datetime(2017, 11, 6, tzinfo=UTC), 28).end == datetime(2017, 12, 4, tzinfo=UTC)
        assert source.split(None, 7).train_before == datetime(2017, 11, 27, tzinfo=UTC)
        (newest,) = journey.events(0, source.size(source.split(None, 7).end) - 1, 1)
    assert str(newest.timestamp) < "2017-12-04"


def test_a_shop_that_is_the_demo_of_the_year_is_reserved_from_the_same_day_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weeks = 400
    moved, place = timedelta(weeks=weeks), journey.size() - 1
    (newest,) = journey.events(weeks, place, 1)
    assert isinstance(newest.timestamp, datetime)
    head = Head(0, place + 1, newest.timestamp, (place, newest.timestamp))
    monkeypatch.setattr(
        "alsobought.evaluation.sources._dump",
        lambda _, path: path.write_bytes(json.dumps(msgspec.to_builtins(head)).encode()),
    )
    with opened(Settings(), None) as source:
        assert source.reserved == datetime(2017, 12, 4, tzinfo=UTC) + moved
        assert source.split(None, 28).train_before == datetime(2017, 11, 6, tzinfo=UTC) + moved
        with pytest.raises(Unusable, match="reserved for a final measurement"):
            source.split(datetime(2017, 11, 7, tzinfo=UTC) + moved, 28)


def test_a_day_behind_the_log_is_told() -> None:
    with pytest.raises(Unusable, match=r"no event of the Complete Journey is from 2018-02-01 or later.*2018-01-01"):
        with_journey(None).split(datetime(2018, 2, 1, tzinfo=UTC), 28)


# The shop's own


@pytest.fixture(scope="module")
def orders() -> list[dict[str, Any]]:
    """Tea and a mug go together; everybody buys the same again a month later."""
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


@pytest.mark.embedded
def test_the_shops_own_log_is_measured_beside_a_running_service_and_alone(
    on: Engine, tmp_path: Path, orders: list[dict[str, Any]]
) -> None:
    run = running(tmp_path / "data")
    words = ["evaluate", "also_bought", "--days", str(DAYS), "--baseline", "co-occurrence", "--json"]

    def evaluated(*more: str) -> dict[str, Any]:
        """In this process, whose one warehouse is in memory: so the log must be read by another."""
        ran = CliRunner().invoke(main, [*words, *more], env=run.settings)
        assert ran.exit_code == 0, ran.output
        made: dict[str, Any] = json.loads(ran.output)
        return made

    with serving(run) as service:
        assert service.ask("/items?wait=true", [{"item_id": "tea", "category": "A"}])[0] == 200
        assert service.ask("/events?wait=true", orders)[0] == 200
        made = evaluated("--save", str(tmp_path / "lists.ndjson"))
        assert service.ask("/pipes/also_bought?item_id=tea")[1]["rows"] == 5
    assert made["train_before"] == "2026-01-30T00:00:00Z"
    assert (made["questions"], made["people"], made["against"]) == (4, 4, "co-occurrence")
    pipe, baseline = made["systems"]
    assert pipe["measures"]["recall"]["mean"] == baseline["measures"]["recall"]["mean"] == 1.0
    assert set(pipe["against"]) == {"recall", "ndcg", "hit", "mrr"}
    lines = [json.loads(line) for line in (tmp_path / "lists.ndjson").read_text().splitlines()]
    assert {line["user"] for line in lines} == {"u0", "u1", "u2", "u3"}
    assert all(set(line["truth"]) <= set(line["lists"]["also_bought"]) for line in lines)
    alone = evaluated()
    for one in (made, alone):
        for system in one["systems"]:
            for name in ("seconds", "p50_milliseconds", "p99_milliseconds"):
                del system[name]
    assert alone == made


@pytest.mark.embedded
def test_a_shop_without_events_and_one_that_is_not_there_say_so(run_migrated: Run, tmp_path: Path) -> None:
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
def test_a_pipe_under_its_floor_fails(
    on: Engine, tmp_path: Path, orders: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    events, _ = read_events([json.dumps(order).encode() for order in orders], Rules(datetime.now(UTC)))

    def batches(before: datetime) -> Iterator[list[Event]]:
        yield [event for event in events if event.timestamp < before]  # type: ignore[operator]

    source = Source("a log", "log", datetime(2026, 3, 1, tzinfo=UTC), list, batches, lambda _: len(events))
    monkeypatch.setattr("alsobought.evaluation.gates.opened", lambda *_: nullcontext(source))
    reached, missed = tmp_path / "reached.yaml", tmp_path / "missed.yaml"
    reached.write_text(GATE % (1.0, 0.5))
    missed.write_text(GATE % (1.0, 1.0))
    ran = CliRunner().invoke(main, ["evaluate", "--gate", str(reached)])
    assert (ran.exit_code, ran.output.split()[4:6]) == (0, ["ok", "reached"])
    ran = CliRunner().invoke(main, ["evaluate", "--gate", str(reached), "--gate", str(missed), "--json"])
    assert ran.exit_code == 1
    assert [one["name"] for one in json.loads(ran.output)] == ["reached", "missed"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pipe: for_you\n", "missing required field `floor`"),
        ("pipe: for_you\nfloor: {recal: 0.1}\n", "unknown field `recal`"),
        ("pipe: for_you\nfloor: {recall: 7}\n", "<= 1"),
    ],
)
def test_a_gate_that_cannot_be_read_is_told(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "gate.yaml").write_text(text)
    ran = CliRunner().invoke(main, ["evaluate", "--gate", str(tmp_path / "gate.yaml")])
    assert ran.exit_code == 1
    assert says in " ".join(ran.output.split())


def test_the_gates_of_the_project_can_be_read() -> None:
    gates = read_gates(sorted((ROOT / "tests" / "quality").glob("*.yaml")))
    assert {gate.pipe for gate in gates.values()} >= {"also_bought", "for_you"}
    for name, gate in gates.items():
        assert min(gate.floor.recall, gate.floor.ndcg) > 0, name
        with opened(Settings(), gate.dataset) as source:
            source.split(gate.plan.train_before, gate.days)  # nothing that is reserved
