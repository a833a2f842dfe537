"""What was posted and rejected is kept, listed by the commands for dead letters, and can be replayed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient

from alsobought.diagnostics.data_checks import check_rejected
from alsobought.events import Rules
from alsobought.kafka.dead_letter_replay import replay
from alsobought.kafka.dead_letters import DeadLetterFilter, newest_dead_letters
from alsobought.service import reject_log
from alsobought.service.service import Service
from alsobought.web.factory import create_app
from alsobought.writer.submission import utc_now
from tests.support.web import VIEW, stored


@pytest.fixture
def shop(make_shop: Callable[..., Service]) -> Service:
    """A shop of today: what was rejected in January would have expired."""
    return make_shop(clock=utc_now)


@pytest.fixture
def client(shop: Service) -> FlaskClient:
    return create_app(shop).test_client()


def kept(shop: Service) -> list[list[str]]:
    shop.reject_log.flush()
    sql = f"select topic, reason, body from {shop.warehouse.database}.rejected_events order by rejected_at, body"
    return shop.warehouse.trusted_rows(sql).data


def test_rejected_events_of_a_mixed_body_are_kept_with_their_reason(client: FlaskClient, shop: Service) -> None:
    invalid = {"event_type": "view", "item_id": "tea"}
    assert client.post("/events?wait=true", json=[VIEW, invalid]).status_code == 200
    assert client.post("/items", data=b"nonsense").status_code == 400
    assert kept(shop) == [
        ["events", "user_id: missing; a guest needs a session_id instead", json.dumps(invalid)],
        ["items", "not JSON: JSON is malformed: invalid character (byte 4)", "nonsense"],
    ]


def test_only_the_first_of_a_minute_are_kept(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reject_log, "MAX_PER_MINUTE", 3)
    monkeypatch.setattr("alsobought.service.reject_log.time.monotonic", lambda: 600.0)
    for _ in range(2):
        client.post("/events", json=[{"event_type": "view"}] * 2)
    assert len(kept(shop)) == 3


def test_what_was_rejected_for_a_setting_is_replayed_once_it_is_corrected(client: FlaskClient, shop: Service) -> None:
    client.post("/events", json=VIEW | {"event_type": "sample"})
    shop.reject_log.flush()
    (letter,) = newest_dead_letters(shop.warehouse, DeadLetterFilter(), 10)
    assert letter.reason.startswith("event_type: 'sample' is not one of")
    rules = Rules(datetime.now(UTC), frozenset({"sample"}))
    for _ in range(2):
        replay(shop.writer, [letter], rules, lambda *_: None)
    assert stored(shop, "event_type, item_id, source") == [["sample", "tea", "http"]]
    assert newest_dead_letters(shop.warehouse, DeadLetterFilter(), 10) == []


def test_the_doctor_reports_what_was_rejected_lately(client: FlaskClient, shop: Service) -> None:
    assert list(check_rejected(shop.warehouse)) == []
    client.post("/events", json=[VIEW, {"event_type": "view", "user_id": "u"}])
    shop.reject_log.flush()
    (finding,) = check_rejected(shop.warehouse)
    assert finding.message == "1 posted events and items were rejected in the last day: item_id: missing (1)"
