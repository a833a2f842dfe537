"""`alsobought evaluate`, and where its log comes from."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import main
from app.demo import journey
from app.errors import Unusable
from app.evaluation.sources import Source, opened
from app.settings import Settings
from tests.process import Run, running, serving, told

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
    tmp_path: Path, orders: list[dict[str, Any]]
) -> None:
    run = running(tmp_path / "data")
    words = ("evaluate", "also_bought", "--days", DAYS, "--baseline", "co-occurrence", "--json")
    with serving(run) as service:
        assert service.ask("/items?wait=true", [{"item_id": "tea", "category": "A"}])[0] == 200
        assert service.ask("/events?wait=true", orders)[0] == 200
        beside = run(*words, "--save", tmp_path / "lists.ndjson")
        assert beside.status == 0, beside.err
        assert service.ask("/pipes/also_bought?item_id=tea")[1]["rows"] == 5
    made = json.loads(beside.out)
    assert made["train_before"] == "2026-01-30T00:00:00Z"
    assert (made["questions"], made["people"], made["against"]) == (4, 4, "co-occurrence")
    pipe, baseline = made["systems"]
    assert pipe["measures"]["recall"]["mean"] == baseline["measures"]["recall"]["mean"] == 1.0
    assert set(pipe["against"]) == {"recall", "ndcg", "hit", "mrr"}
    lines = [json.loads(line) for line in (tmp_path / "lists.ndjson").read_text().splitlines()]
    assert {line["user"] for line in lines} == {"u0", "u1", "u2", "u3"}
    assert all(set(line["truth"]) <= set(line["lists"]["also_bought"]) for line in lines)
    alone = json.loads(run(*words).out)
    for one in (made, alone):
        for system in one["systems"]:
            for name in ("seconds", "p50_milliseconds", "p99_milliseconds"):
                del system[name]
    assert alone == made


@pytest.mark.embedded
def test_a_shop_without_events_and_one_that_is_not_there_say_so(run_migrated: Run, tmp_path: Path) -> None:
    told(run_migrated("evaluate", "for_you"), "there are no events to evaluate on", "--dataset")
    told(running(tmp_path / "none")("evaluate", "for_you"), "there is no warehouse in", "migrate up")
