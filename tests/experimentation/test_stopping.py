"""A guardrail stops a variant of a running service, everywhere, until somebody resumes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from alsobought.access.audit_log import AuditLog
from alsobought.access.audit_reading import Filter, entries
from alsobought.errors import Unusable
from alsobought.experimentation.stops import PolledStops, changes, resume, stops_of
from alsobought.service.experiment_monitor import ExperimentMonitor
from alsobought.service.service import Service
from alsobought.surfaces.draw import Units
from alsobought.web.factory import create_app
from tests.support.project import project_folder
from tests.support.web import error_of

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
EXPERIMENT = f"""
e:
  surface: home.trending
  metric: click_through_rate
  guardrails: [click_through_rate]
  from: {NOW.date()}
  until: {NOW.date()}
  variants:
    control: {{share: 50%}}
    worse: {{share: 50%, pipe: popular}}
"""
USERS, CLICKS = 300, {"control": 0.6, "worse": 0.2}


class Site:
    """A shop whose page shows lists and reports what users do."""

    def __init__(self, shop: Service) -> None:
        self.shop = shop
        self.monitor = ExperimentMonitor(shop, shop.warehouse, AuditLog(shop.warehouse))
        app = create_app(shop, experiments=self.monitor)
        self.client = app.test_client()
        shop.surfaces.stopped = self.stops = PolledStops(shop.warehouse)

    def shown(self, user: str) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.client.get(f"/recommend/home.trending?user_id={user}").text)
        return body

    def visit(self, users: int) -> None:
        """Each user sees an item of the list that is drawn, and clicks in so many cases as the variant has clicks."""
        layout = self.shop.surfaces.current()
        events = []
        seen = dict.fromkeys(CLICKS, 0)
        for number in range(users):
            draw = layout.draw("home.trending", Units(f"u{number}"), NOW)
            assert draw
            assert draw.variant
            variant = draw.variant.name
            seen[variant] += 1
            listed = self.shop.recommendations.mint(draw.placement("v1"), NOW)
            event = {"user_id": f"u{number}", "item_id": "tea", "recommendation_id": listed}
            events.append(event | {"event_type": "impression", "timestamp": NOW.isoformat()})
            if int(seen[variant] * CLICKS[variant]) > int((seen[variant] - 1) * CLICKS[variant]):
                events.append(event | {"event_type": "click", "timestamp": NOW.isoformat()})
        assert self.client.post("/events?wait=true", json=events).status_code == 200
        self.shop.recommendations.flush()


@pytest.fixture
def site(make_shop: Callable[..., Service], tmp_path: Path) -> Site:
    home = project_folder(tmp_path / "home")
    (home / "sql" / "experiments.yaml").write_text(EXPERIMENT)
    return Site(make_shop(lambda: NOW, home=str(home)))


def test_a_breached_guardrail_stops_the_variant_until_it_is_resumed(site: Site) -> None:
    site.visit(USERS)
    draws = {
        user: site.shop.surfaces.current().draw("home.trending", Units(user), NOW) for user in ("u0", "u1", "u2", "u3")
    }
    worse = next(user for user, draw in draws.items() if draw and draw.variant and draw.variant.name == "worse")
    site.monitor.refresh()
    (stop,) = stops_of(changes(site.shop.warehouse))
    assert (stop.experiment, stop.variant, stop.at) == ("e", "worse", NOW)
    assert stop.reason.startswith("clicks per impression -")
    (entry,) = entries(site.shop.warehouse, Filter(action="experiment.stop"))
    assert (entry.object, entry.actor, entry.outcome) == ("e worse", "experiment monitor", "done")

    assert site.shown(worse)["variant"] == "worse", "another process has not read the table yet"
    site.stops.refresh()
    assert site.shown(worse)["variant"] is None
    shown = json.loads(site.client.get("/workbench/experiments/e").text)
    assert shown["headline"].startswith("worse was stopped on")
    assert 'alsobought_experiment_stopped{experiment="e",variant="worse"} 1.0' in site.client.get("/metrics").text
    site.monitor.refresh()
    assert len(changes(site.shop.warehouse)) == 1, "a stopped variant is not stopped again"

    experiment = site.shop.surfaces.current().experiments.by_name["e"]
    assert resume(site.shop.warehouse, experiment, "worse", NOW.replace(hour=13)) == stop
    site.stops.refresh()
    assert site.shown(worse)["variant"] == "worse"
    with pytest.raises(Unusable, match="'worse' of e is not stopped"):
        resume(site.shop.warehouse, experiment, "worse", NOW)


def test_the_page_lists_experiments_and_knows_which_there_are(site: Site) -> None:
    listed = json.loads(site.client.get("/workbench/experiments").text)["experiments"]
    assert listed == [{"name": "e", "surface": "home.trending", "state": "running", "variants": ["control", "worse"]}]
    shown = json.loads(site.client.get("/workbench/experiments/e").text)
    assert shown["headline"] == "Nobody has seen a list of this experiment yet."
    response = site.client.get("/workbench/experiments/f")
    assert (response.status_code, error_of(response)["code"]) == (404, "no_such_experiment")
