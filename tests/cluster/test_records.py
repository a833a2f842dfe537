"""What a service records beside events is known on both shards: placements, stops of experiments, versions of the ranker."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from alsobought.errors import NoSuchRequest
from alsobought.events import Event
from alsobought.experimentation.stops import changes, resume, stop, stops_of
from alsobought.learning.context import Context
from alsobought.learning.ranker_versions import put_into_service, roll_back, rows_in_service, version_of
from alsobought.recommendation_ids import Placement
from alsobought.service.service import Service
from alsobought.serving.answers import answer
from alsobought.serving.recorded_list import recorded_lists
from alsobought.storage.topology import shard_index
from alsobought.surfaces.experiment import Experiment, Variant
from alsobought.writer.submission import Submission
from tests.cluster.purchases import shards_of_cluster
from tests.learning.test_learning import no_bar
from tests.support.project import ROOT

pytestmark = pytest.mark.journey  # two servers take seconds to start


def test_lists_earn_on_both_shards_stops_hold_on_both_and_a_roll_back_reaches_both(
    open_shop: Callable[..., Service],
) -> None:
    shop = open_shop(token_secret="s" * 32)
    now = shop.clock()
    users = [f"shown{number}" for number in range(8)]
    assert {shard_index(user, 2) for user in users} == {0, 1}
    events = []
    for user in users:
        listed = shop.recommendations.mint(Placement("popular", "1", "home.shards"), now)
        common = {"user_id": user, "item_id": "pot", "timestamp": now}
        events += [Event(event_type=kind, recommendation_id=listed, **common) for kind in ("impression", "click")]  # type: ignore[arg-type]
        events.append(Event(event_type="purchase", price=2.0, order_id=f"of {user}", **common))  # type: ignore[arg-type]
    shop.recommendations.flush()
    assert shop.writer.submit(Submission(events)).result().rows == 24

    def report(pipe: str) -> dict[str, object]:
        later = {"until": [now.replace(year=now.year + 1).isoformat()]}
        rows = answer(shop.library, shop.warehouse, pipe, {**later, "since": ["2026-01-01"]}, now).dicts()
        return next(row for row in rows if row["value"] == "home.shards")

    metrics = report("recommendation_metrics")
    assert [metrics[name] for name in ("impressions", "clicks", "purchases", "revenue", "orders")] == [8, 8, 8, 16, 8]
    assert report("recommendation_coverage")["items"] == 1
    with pytest.raises(NoSuchRequest, match=r"its list was that of popular, version 1 on home\.shards"):
        recorded_lists(shop.warehouse, shop.settings, shop.recommendations.ids, listed, now)

    other, experiment = open_shop(), Experiment("shards", "home", (Variant("control", 1), Variant("new", 1)))
    stop(shop.warehouse, experiment.name, "new", "too slow", now)
    assert [one.variant for one in stops_of(changes(other.warehouse)) if one.experiment == "shards"] == ["new"]
    assert resume(other.warehouse, experiment, "new", other.clock()).reason == "too slow"
    assert "shards" not in [one.experiment for one in stops_of(changes(shop.warehouse))]

    contexts = [Context(one, ROOT, now, no_bar) for one in (shop.warehouse, *shards_of_cluster(shop))]
    row = {"model": "rank", "feature": "price", "place": 1, "bucket": 0, "above": 0.0, "up_to": 1.0, "weight": 1.0}
    row |= {"pairs": 1, "asked": 1.0, "bought": 1.0}
    for weight in (1.0, 2.0):
        put_into_service(contexts[0], [{**row, "weight": weight}], "orders")
        assert [[one["weight"] for one in rows_in_service(context)] for context in contexts] == [[weight]] * 3
    newest = version_of(rows_in_service(contexts[0]))
    roll_back(contexts[0])
    assert [[one["weight"] for one in rows_in_service(context)] for context in contexts] == [[1.0]] * 3
    assert version_of(rows_in_service(contexts[0])) < newest
