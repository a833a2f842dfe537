"""POST /events/segment, /ga4 and /snowplow: calls become events, guests are merged, and what is none of ours is skipped."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.kafka.halts import Halt
from alsobought.service.monitor import Monitor
from alsobought.service.service import Service
from alsobought.web import webhook_endpoints
from alsobought.web.factory import create_app
from alsobought.web.webhook_secret import is_authentic
from tests.conftest import NOON
from tests.support.web import VIEW, emptied, error_of, rejected, stored, wrong_tables

SECRET = "s3cret"  # noqa: S105
BODY = b'{"type": "page"}'
TRACK = {"type": "track", "event": "Product Viewed", "messageId": "m1", "userId": "ada"}
TRACK["properties"] = {"product_id": "tea"}  # type: ignore[assignment]
PAGE = {"type": "page", "userId": "ada"}
IDENTIFY = {"type": "identify", "userId": "ada", "anonymousId": "device-7"}


@pytest.fixture(scope="module")
def filled(make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop()


@pytest.fixture
def shop(filled: Service) -> Service:
    """The shop of this module, emptied."""
    return emptied(filled)


def post(client: FlaskClient, path: str, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    """Status and answer, without the id of the request."""
    got = client.post(path, json=body, headers=headers)
    answer = json.loads(got.text)
    answer.pop("request_id")
    return got.status_code, answer


def test_a_batch_is_stored_merged_skipped_and_rejected_call_by_call(client: FlaskClient, shop: Service) -> None:
    guest = TRACK | {"userId": None, "anonymousId": "device-7", "messageId": "m0"}
    assert post(client, "/events/segment?wait=true", guest)[0] == 200
    batch = {"batch": [TRACK, IDENTIFY, PAGE, PAGE, {**TRACK, "properties": {}}], "sentAt": "2026-01-01T12:00:00Z"}
    status, answer = post(client, "/events/segment?wait=true", batch)
    assert (status, answer) == (
        200,
        {
            "accepted": 1,
            "skipped": 2,
            "merged": 1,
            "skipped_calls": ["page"],
            "rejected": [{"index": 4, "problem": "properties.product_id: missing"}],
            "rejected_total": 1,
            "duplicates": 0,
            "repeats": 0,
        },
    )
    assert stored(shop, "event_id, user_id") == [["m0", "ada"], ["m1", "ada"]]
    assert wrong_tables(shop) == {}
    status, again = post(client, "/events/segment?wait=true", batch)
    assert (again["accepted"], again["duplicates"], again["merged"]) == (1, 1, 1), "a webhook may send again"


def test_what_needs_no_storing_is_answered_with_200(client: FlaskClient, shop: Service) -> None:
    nothing = {"accepted": 0, "rejected": [], "rejected_total": 0}
    for body, counts in (
        (PAGE, {"skipped": 1, "merged": 0, "skipped_calls": ["page"]}),
        (IDENTIFY, {"skipped": 0, "merged": 1}),
        ({**TRACK, "event": "Cart Viewed"}, {"skipped": 1, "merged": 0, "skipped_calls": ["track Cart Viewed"]}),
    ):
        assert post(client, "/events/segment", body) == (200, nothing | counts)
    assert stored(shop) == []


def test_only_faulty_calls_are_answered_with_400(client: FlaskClient, shop: Service) -> None:
    got = client.post("/events/segment", json={**TRACK, "properties": {}})
    assert (got.status_code, error_of(got)["code"]) == (400, "bad_events")
    assert error_of(got)["details"] == [{"param": "[0]", "problem": "properties.product_id: missing"}]
    assert error_of(client.post("/events/segment", data=b""))["message"] == "the body is empty"


def test_rejected_calls_are_kept_also_beside_skipped_ones(client: FlaskClient, shop: Service) -> None:
    faulty = {**TRACK, "properties": {}}
    post(client, "/events/segment", {"batch": [PAGE, faulty]})
    shop.reject_log.flush()
    sql = f"select reason, body from {shop.warehouse.database}.dead_letters final"
    ((reason, body),) = shop.warehouse.trusted_rows(sql).data
    assert (reason, json.loads(body)) == ("properties.product_id: missing", faulty)


def test_a_guest_of_somebody_else_is_a_rejected_call(client: FlaskClient, shop: Service) -> None:
    assert post(client, "/events/segment", IDENTIFY)[1]["merged"] == 1
    other = IDENTIFY | {"userId": "bea"}
    got = client.post("/events/segment", json=[other, PAGE])
    assert got.status_code == 200
    assert rejected(got) == [
        (
            0,
            "'device-7' was merged into 'ada'. Merge that account if it is the same user; if not, unmerge 'device-7' first"
            " (POST /users/unmerge)",
        )
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/events/ga4",
            {
                "client_id": "1.2",
                "user_id": "ada",
                "events": [{"name": "page_view"}, {"name": "view_item", "params": {"items": [{"item_id": "tea"}]}}],
            },
        ),
        (
            "/events/snowplow",
            [
                {"event_name": "page_view", "collector_tstamp": "2026-01-01T11:00:00Z", "user_id": "ada"},
                {
                    "event_name": "transaction_item",
                    "collector_tstamp": "2026-01-01T11:00:00Z",
                    "user_id": "ada",
                    "ti_sku": "tea",
                },
            ],
        ),
    ],
)
def test_ga4_and_snowplow_have_a_path_each(client: FlaskClient, shop: Service, path: str, body: Any) -> None:
    status, answer = post(client, path, body)
    assert (status, answer["accepted"], answer["skipped"]) == (202, 1, 1)
    assert post(client, "/events", body)[1]["accepted"] == 1, "also in place of an event"


def test_a_call_may_stand_in_place_of_an_event_but_merges_nobody(client: FlaskClient, shop: Service) -> None:
    status, answer = post(client, "/events?wait=true", [VIEW, {"batch": [TRACK, IDENTIFY]}, PAGE])
    assert (status, answer["accepted"], answer["skipped"], answer["skipped_calls"]) == (200, 2, 2, ["identify", "page"])
    assert "merged" not in answer
    assert stored(shop, "user_id, item_id") == [["u", "tea"], ["ada", "tea"]]
    assert post(client, "/events", PAGE) == (
        200,
        {"accepted": 0, "skipped": 1, "skipped_calls": ["page"], "rejected": [], "rejected_total": 0},
    )
    merges = shop.warehouse.trusted_rows(f"select count() from {shop.warehouse.database}.user_merges").data
    assert merges == [[0]]


def test_skipped_calls_and_merged_guests_are_counted_by_a_few_kinds(client: FlaskClient, shop: Service) -> None:
    def value(series: str) -> float:
        lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{series} ")]
        return float(lines[0].split()[1]) if lines else 0.0

    post(client, "/events/segment", [{"type": f"own {n}", "messageId": "m"} for n in range(20)])
    post(client, "/events/segment", [IDENTIFY | {"anonymousId": "device-9"}, PAGE])
    post(client, "/events/segment", [IDENTIFY | {"anonymousId": "device-9"}])
    assert value('alsobought_skipped_calls_total{format="segment",kind="other"}') == 20
    assert value('alsobought_skipped_calls_total{format="segment",kind="page"}') == 1
    assert value("alsobought_merged_guests_total") == 1, "the second call merges nobody anew"


def test_a_body_merges_a_bounded_number_of_guests(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_endpoints, "MAX_MERGES", 2)
    three = [{**IDENTIFY, "anonymousId": f"device-{number}"} for number in range(3)]
    status, answer = post(client, "/events/segment", [*three, TRACK])
    assert (status, answer["error"]["code"]) == (413, "too_large")
    assert answer["error"]["message"].startswith("the body merges 3 guests; at most 2")
    assert post(client, "/events/segment", three[:2])[1]["merged"] == 2
    assert post(client, "/events/segment", three)[1]["merged"] == 3, "two of them are merged already"


def test_pages_of_other_sites_may_not_post(client: FlaskClient, shop: Service) -> None:
    assert post(client, "/events/segment", TRACK, Origin="https://elsewhere.example")[0] == 403


# The secret


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def signature(algorithm: str, body: bytes = BODY) -> str:
    return hmac.new(SECRET.encode(), body, algorithm).hexdigest()


@pytest.mark.parametrize(
    ("headers", "query", "authentic"),
    [
        ({"X-Signature": signature("sha1")}, {}, True),
        ({"X-Signature": signature("sha1").upper()}, {}, True),
        ({"X-Signature": signature("sha256")}, {}, True),
        ({"Authorization": f"Bearer {SECRET}"}, {}, True),
        ({"Authorization": f"bearer  {SECRET} "}, {}, True),
        ({"Authorization": basic("any", SECRET)}, {}, True),
        ({"Authorization": basic(SECRET, "")}, {}, True),
        ({}, {"api_secret": SECRET}, True),
        ({}, {}, False),
        ({"X-Signature": signature("sha1", b"other")}, {}, False),
        ({"X-Signature": signature("md5")}, {}, False),
        ({"X-Signature": signature("sha1", b"other"), "Authorization": f"Bearer {SECRET}"}, {}, False),
        ({"X-Signature": "é" * 40}, {}, False),
        ({"X-Signature": SECRET}, {}, False),
        ({"Authorization": "Bearer"}, {}, False),
        ({"Authorization": "Bearer s3cre"}, {}, False),
        ({"Authorization": SECRET}, {}, False),
        ({"Authorization": "Basic %%%"}, {}, False),
        ({"Authorization": basic("any", "wrong")}, {}, False),
        ({}, {"api_secret": "é"}, False),
    ],
)
def test_a_signature_or_a_credential_is_authentic(
    headers: dict[str, str], query: dict[str, str], authentic: bool
) -> None:
    assert is_authentic(SECRET, headers, query, BODY) == authentic


def test_without_the_secret_nothing_is_read(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(webhook_secret=SECRET)
    client = create_app(shop).test_client()
    for path in ("/events/segment", "/events/ga4", "/events/snowplow"):
        got = client.post(path, json=TRACK)
        assert (got.status_code, error_of(got)["code"]) == (401, "not_authenticated")
        assert got.headers["WWW-Authenticate"] == "Bearer"
        assert "ALSOBOUGHT_WEBHOOK_SECRET" in error_of(got)["hint"]
    body = json.dumps(TRACK).encode()
    signed = client.post("/events/segment", data=body, headers={"X-Signature": signature("sha1", body)})
    assert signed.status_code == 202
    assert client.post("/events", json=VIEW).status_code == 202, "of the webhooks only"


# Halts


def test_a_halt_is_in_readyz_and_in_the_metrics_and_the_service_stays_ready(
    make_shop: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alsobought.kafka.client.REQUEST_SECONDS", 0.1)
    shop = make_shop(kafka="127.0.0.1:1")
    monitor = Monitor(shop.writer)
    client = create_app(shop, monitor).test_client()

    def seen() -> tuple[int, Any, bool]:
        monitor.refresh(sums=False)
        got = client.get("/readyz")
        return (
            got.status_code,
            json.loads(got.text)["halted"],
            "alsobought_kafka_halted 1.0" in client.get("/metrics").text,
        )

    assert json.loads(client.get("/readyz").text)["halted"] is None, "before the first look"
    halt = Halt(halted_at=NOON, reason="halted: 900 of …", hint="Fix the producer", noted_at=NOON)
    for ended_at, expected in ((None, (200, "halted: 900 of …", True)), (NOON, (200, None, False))):
        row = {"halted_at": NOON, "reason": halt.reason, "hint": halt.hint, "ended_at": ended_at}
        noted_at = "2026-01-01 12:00:01" if ended_at else "2026-01-01 12:00:00"
        shop.warehouse.insert("ingest_halts", json.dumps(row | {"noted_at": noted_at}, default=str).encode())
        assert seen() == expected
        assert (halt.reason in monitor.alarms) == (ended_at is None)
    monitor.stop()
