"""Metrics of what the service uses, and how /readyz reports what is missing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from alsobought.errors import WarehouseFault
from alsobought.events import Event
from alsobought.service.monitor import Monitor
from alsobought.service.service import Service
from alsobought.service.vitals import folder_bytes
from alsobought.settings import Settings
from alsobought.web.factory import create_app
from alsobought.web.http.limits import REASONS, ConnectionCounts
from alsobought.web.lanes import Lanes
from alsobought.writer.queue import WriterQueue
from alsobought.writer.submission import Submission
from docs.generate import metric_families
from tests.support.project import project_folder
from tests.support.web import VIEW, error_of


@pytest.fixture(scope="module")
def app(make_shared_shop: Callable[..., Service]) -> Iterator[Flask]:
    shop = make_shared_shop()
    monitor = Monitor(shop.writer)
    yield create_app(shop, monitor)
    monitor.stop()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def value(client: FlaskClient, name: str, **labels: str) -> float | None:
    """The value of this series of the page, None if it has none."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    found = [s.value for family in families for s in family.samples if (s.name, s.labels) == (name, labels)]
    return found[0] if found else None


def test_memory_and_disk_are_on_the_page_once_the_monitor_has_read_them(app: Flask, client: FlaskClient) -> None:
    assert value(client, "alsobought_disk_free_bytes") is None
    app.extensions["monitor"].refresh(sums=False)
    memory, limit = value(client, "alsobought_memory_bytes"), value(client, "alsobought_memory_limit_bytes")
    assert 50e6 < (memory or 0) < (limit or 0)
    for name in ("disk_free", "warehouse", "engine_memory"):
        assert (value(client, f"alsobought_{name}_bytes") or 0) > 10_000, name
    assert value(client, "alsobought_disk_min_free_bytes") == 268_435_456
    assert value(client, "alsobought_ready") == value(client, "alsobought_writer_running") == 1


def test_an_engine_that_does_not_answer_is_not_ready(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    vitals = app.extensions["monitor"].vitals

    def fail(*_: object) -> None:
        raise WarehouseFault("gone")

    with monkeypatch.context() as broken:
        broken.setattr(vitals._warehouse, "trusted_rows", fail)
        vitals.refresh()
        assert value(client, "alsobought_ready") == 0
    vitals.refresh()
    assert value(client, "alsobought_ready") == 1


def test_rejected_rows_are_counted_by_field_and_never_by_what_was_sent(client: FlaskClient) -> None:
    wrong = [{"user_id": "u"}, VIEW | {"quantity": "x"}, VIEW | {"made_up": 1}, VIEW | {"properties": "x" * 70_000}]
    assert client.post("/events", json=[*wrong, VIEW | {"event_type": "made_up: price: 1"}, VIEW]).status_code == 202
    assert client.post("/events", data="event_type=view").status_code == 400
    for reason in ("quantity", "unknown_field", "too_large", "not_json"):
        assert value(client, "alsobought_rejected_rows_total", kind="event", reason=reason) == 1, reason
    assert value(client, "alsobought_rejected_rows_total", kind="event", reason="event_type") == 2
    assert "made_up" not in client.get("/metrics").text


def test_posts_are_counted_and_timed_by_endpoint(client: FlaskClient) -> None:
    assert client.post("/items", json={"item_id": "tea"}).status_code == 202
    assert client.post("/items", data="[").status_code == 400
    assert client.delete("/items/tea").status_code == 202
    assert value(client, "alsobought_posts_total", endpoint="post_items", status="202") == 1
    assert value(client, "alsobought_posts_total", endpoint="post_items", status="400") == 1
    assert value(client, "alsobought_post_seconds_count", endpoint="post_items") == 2
    assert value(client, "alsobought_post_seconds_count", endpoint="delete_item") == 1


def test_a_worker_adds_its_connections_and_lanes(app: Flask, client: FlaskClient) -> None:
    counts, lanes = ConnectionCounts(), Lanes(4)
    counts.open, counts.idle = 7, 5
    counts.ended["slow_reader"] = 3
    app.extensions["metrics"].observe(counts, lanes.all)
    assert value(client, "alsobought_connections", state="idle") == 5
    assert value(client, "alsobought_connections", state="active") == 2
    ended = {reason: value(client, "alsobought_connections_refused_total", reason=reason) for reason in REASONS}
    assert ended == {**dict.fromkeys(REASONS, 0), "slow_reader": 3}
    assert value(client, "alsobought_lane_threads", lane="light") == 4
    assert value(client, "alsobought_lane_requests", lane="light", state="waiting") == 0
    lanes.shutdown(wait=True)


def test_the_page_has_every_documented_metric_and_no_other(app: Flask, client: FlaskClient) -> None:
    app.extensions["monitor"].refresh(sums=False)
    families = text_string_to_metric_families(client.get("/metrics").text)
    page = {family.name.removesuffix("_info") for family in families if not family.name.endswith("_created")}
    documented = {family.name for family in metric_families()}
    assert page <= documented
    later = {"scrub_time_seconds", "backup_time_seconds", "dead_letters"}  # after the first time; with Kafka
    missing = {name.removeprefix("alsobought_") for name in documented - page}
    assert missing - later == {name for name in missing if name.startswith(("kafka_", "check_"))}


def test_what_waits_for_the_writer_has_a_size() -> None:
    waiting = WriterQueue(Settings())
    submission = Submission([Event(event_type="view", user_id="u", item_id="tea")], size=120)
    waiting.put(submission)
    assert (waiting.waiting_rows, waiting.waiting_bytes) == (1, 120)
    waiting.release(submission)
    assert (waiting.waiting_rows, waiting.waiting_bytes) == (0, 0)


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "part").write_bytes(os.urandom(8_192))
    alone = folder_bytes(tmp_path)
    os.link(tmp_path / "below" / "part", tmp_path / "pinned")
    assert folder_bytes(tmp_path) == alone
    assert 8_192 <= alone < 16_384


def test_a_full_disk_leaves_the_service_ready_and_is_shown(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(min_free_bytes=2**53)
    monitor = Monitor(shop.writer)
    client = create_app(shop, monitor).test_client()
    assert json.loads(client.get("/readyz").text)["disk_full"] is False
    monitor.vitals.refresh()
    monitor.stop()
    ready = client.get("/readyz")
    assert (ready.status_code, json.loads(ready.text)["disk_full"]) == (200, True)
    assert value(client, "alsobought_ready") == 1


def test_a_service_without_a_valid_pipe_is_not_ready(make_shop: Callable[..., Service], tmp_path: Path) -> None:
    home = project_folder(tmp_path / "home", "sql", "migrations")
    (home / "pipes").mkdir()
    (home / "pipes" / "broken.sql").write_text("-- Broken.\n\nselect nothing from nowhere limit 1\n")
    client = create_app(make_shop(home=str(home))).test_client()
    ready = client.get("/readyz")
    assert (ready.status_code, error_of(ready)["code"]) == (503, "pipe_broken")
    assert value(client, "alsobought_pipes", state="broken") == 1
    text = "-- Views.\n\nselect count() as views from events order by views limit 1\n"
    (home / "pipes" / "views.sql").write_text(text)
    assert client.get("/readyz").status_code == 200
    assert value(client, "alsobought_pipes", state="ready") == 1
