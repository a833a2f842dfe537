"""The ranker learns from clicks on what was shown: as of the day, guarded, and it can be rolled back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from alsobought.errors import Unusable
from alsobought.events import Event
from alsobought.items import Item
from alsobought.learning.click_examples import CandidateCache, item_impressions, read_impressions, user_impressions
from alsobought.learning.context import Context
from alsobought.learning.ranker_clicks import WorseWeights
from alsobought.learning.ranker_versions import put_into_service, rows_in_service, version_of, versions
from alsobought.learning.registry import learn
from alsobought.learning.runs import LearningRun, latest_runs
from alsobought.recommendation_ids import Placement
from alsobought.service.online_learning import OnlineLearning
from alsobought.service.service import Service
from alsobought.serving.request_log import encode_parameters
from alsobought.storage.sql_text import time_text
from alsobought.writer.submission import Submission
from tests.learning.test_learning import no_bar
from tests.support.project import ROOT

NOON = (datetime.now(UTC) - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)  # requests expire
CHEAP, DEAR = ("c1", "c2", "c3"), ("d1", "d2", "d3")
PAGES = tuple(f"page{number}" for number in range(4))
SHOWN = NOON - timedelta(days=2)
OPTIONS: dict[str, Any] = {"from": "clicks", "days": 7, "items": 100, "people": 20}


class Shop:
    """Everything was bought together; of what is then shown, users click the cheap items or the dear ones."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.lists, self.now = 0, NOON
        items = [Item(item_id=item, title=item, category="All", price=1.0) for item in (*CHEAP, *PAGES)]
        items += [Item(item_id=item, title=item, category="All", price=50.0) for item in DEAR]
        service.writer.submit(Submission(items)).result()
        self.post(
            Event(
                event_type="purchase",
                user_id=f"u{number % 5}",
                item_id=item,
                order_id=f"a{number}",
                timestamp=NOON - timedelta(days=10),
            )
            for number in range(24)
            for item in (PAGES[number % 4], CHEAP[number % 3], DEAR[number % 3])
        )

    def post(self, events: Any) -> None:
        self.service.writer.submit(Submission(list(events))).result()

    def show(self, clicked: tuple[str, ...], lists: int, at: datetime = SHOWN, pipe: str = "also_bought") -> None:
        """Lists of all six, the dear ones first, of which a third is clicked."""
        events, requests = [], []
        for number in range(self.lists, self.lists + lists):
            time, user, page = at + timedelta(seconds=number), f"u{number % 5}", PAGES[number % 4]
            given = self.service.recommendations.mint(Placement(pipe, "1"), time)
            asked = {"item_id": [page]} if pipe == "also_bought" else {"user_id": [user]}
            requests.append(request_row(time, given, pipe, asked))
            for position, item in enumerate((*DEAR, *CHEAP), 1):
                event: dict[str, Any] = {
                    "user_id": user,
                    "item_id": item,
                    "recommendation_id": given,
                    "position": position,
                }
                events.append(Event(event_type="impression", timestamp=time + timedelta(seconds=1), **event))
                if item in clicked and number % 3 == 0:
                    events.append(Event(event_type="click", timestamp=time + timedelta(seconds=9), **event))
        self.lists += lists
        self.post(events)
        self.service.warehouse.insert("requests", msgspec.json.Encoder().encode_lines(requests))

    def context(self) -> Context:
        return Context(self.service.warehouse, ROOT, NOON, no_bar)

    def learn(self, **options: Any) -> LearningRun:
        return learn("ranker", self.context(), OPTIONS | options)

    def scores(self, model: str = "also_bought") -> dict[str, float]:
        """The weight of a price of 50 against one of 1, all else equal."""
        rows = [row for row in rows_in_service(self.context()) if row["model"] == model and row["feature"] == "price"]
        return {str(price): score(rows, float(np.log(price + 0.1))) for price in (1, 50)}


def score(rows: list[dict[str, Any]], value: float) -> float:
    in_bucket = next(row["weight"] for row in rows if row["bucket"] and row["above"] < value <= row["up_to"])
    return float(rows[0]["weight"] * value + in_bucket)


def request_row(time: datetime, recommendation_id: str, pipe: str, asked: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "time": time_text(time),
        "recommendation_id": recommendation_id,
        "pipe": pipe,
        "parameters": encode_parameters(asked).decode(),
        "item_ids": [*DEAR, *CHEAP],
        "propensities": [1.0] * 6,
        "status": 200,
    }


@pytest.fixture
def clicks(make_shop: Callable[..., Service]) -> Shop:
    made: list[Shop] = []
    made.append(Shop(make_shop(lambda: made[0].now if made else NOON)))
    return made[0]


def test_clicks_are_learned_corrected_for_position(clicks: Shop) -> None:
    """Both pages of an item and lists of a user; the clicked items are the last three of each list."""
    clicks.show(CHEAP, 150)
    clicks.show(CHEAP, 150, pipe="rank")
    run = clicks.learn()
    assert run.quality["also_bought_impressions"] == run.quality["rank_impressions"] == 900
    assert run.quality["also_bought_clicks"] == run.quality["rank_clicks"] == 150
    assert run.quality["also_bought_log_loss"] < run.quality["also_bought_log_loss_in_service"]
    for model in ("also_bought", "rank"):
        scores = clicks.scores(model)
        assert scores["1"] > scores["50"], model


def test_purchases_after_a_click_are_another_label(clicks: Shop) -> None:
    clicks.show(CHEAP, 150)
    with pytest.raises(
        Unusable, match=f"since {NOON - timedelta(days=7):%Y-%m-%d} 12:00 in lists .* of 900 impressions"
    ):
        clicks.learn(label="purchase")
    clicks.post(
        Event(event_type="purchase", user_id=f"u{number}", item_id=item, timestamp=NOON - timedelta(days=1, hours=1))
        for number in range(5)
        for item in CHEAP
    )
    assert clicks.learn(label="purchase").quality["also_bought_clicks"] == 150


def test_nothing_after_the_midnight_before_a_list_changes_its_features(clicks: Shop) -> None:
    clicks.show(CHEAP, 6)
    clicks.show(CHEAP, 6, pipe="rank")

    def read() -> list[dict[str, np.ndarray]]:
        shown = read_impressions(clicks.context(), NOON - timedelta(days=7), NOON, 1000, False)
        parts = [
            item_impressions(clicks.context(), shown, 100, CandidateCache()),
            user_impressions(clicks.context(), shown, 100, CandidateCache()),
        ]
        assert all(part and len(part["list_key"]) == 36 for part in parts)
        return [part for part in parts if part]

    before = read()
    clicks.post(
        Event(event_type="purchase", user_id=f"u{number}", item_id=item, order_id=f"b{number}", timestamp=late)
        for late in (SHOWN - timedelta(hours=11), SHOWN + timedelta(hours=1), NOON)
        for number in range(5)
        for item in (*PAGES, *CHEAP)
    )
    for part, again in zip(before, read(), strict=True):
        for name, values in part.items():
            assert values.tolist() == again[name].tolist(), name
    clicks.post(
        Event(event_type="purchase", user_id="u1", item_id=item, order_id="c", timestamp=SHOWN - timedelta(hours=13))
        for item in (PAGES[0], CHEAP[0])
    )
    assert read()[0]["together"].tolist() != before[0]["together"].tolist(), "what was before it counts"


def test_an_impression_counts_once_and_not_while_it_may_yet_be_clicked(clicks: Shop) -> None:
    clicks.show((), 5)
    for user in ("u0", "robot"):
        row = clicks.service.warehouse.rows(
            "select recommendation_id, item_id, timestamp from events where position = 2"
        )
        clicks.post(
            Event(event_type="impression", user_id=user, item_id=item, recommendation_id=given, position=2)
            for given, item, _ in row.data
        )
    clicks.show((), 5, at=NOON - timedelta(seconds=60))
    shown = read_impressions(clicks.context(), NOON - timedelta(days=7), NOON - timedelta(minutes=2), 1000, False)
    assert len(shown["listed"]) == 30
    assert sorted(shown["position"].tolist()) == sorted([1, 2, 3, 4, 5, 6] * 5)


def test_the_guard_keeps_the_old_weights(clicks: Shop) -> None:
    """Users loved the dear items, and now the cheap ones: the weights that know both are no better on the newest lists."""
    clicks.show(CHEAP, 150)
    clicks.learn()
    before = rows_in_service(clicks.context())
    clicks.show(DEAR, 300, at=SHOWN + timedelta(hours=1))
    clicks.show(CHEAP, 100, at=SHOWN + timedelta(hours=3))
    with pytest.raises(
        WorseWeights, match=r"also_bought, 3,300 impressions.* held-out log loss 0\.\d+, in service 0\.\d+"
    ):
        clicks.learn()
    assert rows_in_service(clicks.context()) == before
    assert len(versions(clicks.context())) == 1


def test_roll_back_returns_to_the_version_before(clicks: Shop) -> None:
    with pytest.raises(Unusable, match="no version before"):
        clicks.learn(roll_back=True)
    clicks.show(CHEAP, 150)
    clicks.learn()
    flat = [{**row, "weight": 0.0} for row in rows_in_service(clicks.context())]
    put_into_service(clicks.context(), flat, "orders")
    first = rows_in_service(clicks.context())
    clicks.learn()
    second = rows_in_service(clicks.context())
    assert version_of(second) > version_of(first) > 0
    assert learned_prices(clicks) != {0.0}
    run = clicks.learn(roll_back=True)
    assert rows_in_service(clicks.context()) == first
    assert (
        run.line
        == f"rolled back from the weights of {NOON:%Y-%m-%d} 12:00:00.002 to those of {NOON:%Y-%m-%d} 12:00:00.001"
    )
    clicks.learn()
    clicks.learn(roll_back=True)
    assert rows_in_service(clicks.context()) == first, "not the weights that were rolled back before"
    kept = versions(clicks.context())
    assert [one.source for one in kept] == ["clicks", "clicks", "orders", "clicks"]
    assert [one.previous for one in kept[:2]] == [version_of(first)] * 2


def learned_prices(clicks: Shop) -> set[float]:
    return {row["weight"] for row in rows_in_service(clicks.context()) if row["feature"] == "price"}


def test_the_running_service_refits_until_it_would_be_worse(clicks: Shop, caplog: pytest.LogCaptureFixture) -> None:
    settings = msgspec.structs.replace(clicks.service.settings, learn_online=60)
    clicks.service.writer.settings = settings
    online = OnlineLearning(clicks.service.writer)
    try:
        assert online.refit() == "", "nothing was shown"
        clicks.show(CHEAP, 150, at=NOON - timedelta(hours=9))
        assert online.refit() == "accepted"
        assert online.refit() == "", "nothing was shown since"
        first = rows_in_service(clicks.context())
        assert {row["version"] for row in first} == {versions(clicks.context())[0].version}
        assert versions(clicks.context())[0].source == "online"
        clicks.now = NOON + timedelta(hours=4)
        clicks.show(DEAR, 300, at=NOON + timedelta(hours=1))
        clicks.show(CHEAP, 100, at=NOON + timedelta(hours=3))
        assert online.refit() == "rejected"
        assert rows_in_service(clicks.context()) == first
        assert "which stay: also_bought, 3,300 impressions" in caplog.text
    finally:
        online.stop()
    assert online.refits == {"accepted": 1, "rejected": 1, "failed": 0}
    assert latest_runs(clicks.service.warehouse)["ranker"].options["from"] == "clicks"
