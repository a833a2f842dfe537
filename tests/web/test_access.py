"""Access over HTTP: who may do what, and every way around it that we could think of."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from alsobought.access.gate import Gate
from alsobought.access.keys import Key, NewKey, all_keys, create_key, revoke_key
from alsobought.access.tokens import Grant
from alsobought.service.service import Service
from alsobought.web.access import NEEDS
from alsobought.web.factory import create_app
from alsobought.writer.submission import utc_now
from tests.support.web import VIEW, buy, error_of, stored

ADMIN = "a" * 40
ORIGIN = "https://shop.example"
PUBLIC_URL, PRIVATE_URL = "/pipes/also_bought?item_id=tea", "/pipes/recently_viewed?user_id=ada"


@pytest.fixture(scope="module")
def shop(make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop(utc_now, access="keys", admin_key=ADMIN, token_secret="t" * 32)


@pytest.fixture(scope="module")
def app(shop: Service) -> Flask:
    app = create_app(shop, edit=True)
    buy(Caller(app.test_client(), ADMIN), "o1", "tea", "mug", user="ada")  # type: ignore[arg-type]
    return app


class Caller:
    """Requests with a key or a token."""

    def __init__(self, client: FlaskClient, credential: str = "", **headers: str) -> None:
        authorization = {"Authorization": f"Bearer {credential}"} if credential else {}
        self._client, self._headers = client, authorization | headers

    def open(self, path: str, **options: Any) -> TestResponse:
        headers = {**self._headers, **options.pop("headers", {})}
        return self._client.open(path, headers=headers, buffered=True, environ_overrides={"RAW_URI": path}, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.open(path, method="GET", **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        return self.open(path, method="POST", **options)


@pytest.fixture(scope="module")
def key(app: Flask, shop: Service) -> Callable[..., tuple[str, Key]]:
    """A new key with these scopes."""

    def make(*scopes: str, **fields: Any) -> tuple[str, Key]:
        new = NewKey(name="test", scopes=scopes, **fields).checked()
        made = create_key(shop.warehouse, new, utc_now())
        app.extensions["gate"].refresh()
        return made

    return make


@pytest.fixture
def caller(app: Flask, key: Callable[..., tuple[str, Key]]) -> Callable[..., Caller]:
    return lambda *scopes, **fields: Caller(app.test_client(), key(*scopes, **fields)[0])


@pytest.fixture
def browser(app: Flask, key: Callable[..., tuple[str, Key]]) -> Caller:
    return Caller(app.test_client(), key(browser=True, origins=(ORIGIN,))[0], Origin=ORIGIN)


@pytest.fixture
def token(app: Flask) -> Callable[..., Caller]:
    def make(user: str = "ada", **fields: Any) -> Caller:
        text, _ = app.extensions["gate"].signer.sign(Grant(params={"user_id": user}, **fields), "")
        return Caller(app.test_client(), text)

    return make


@pytest.fixture
def nobody(app: Flask) -> Caller:
    return Caller(app.test_client())


# The table


def test_every_endpoint_has_an_entry(app: Flask) -> None:
    assert {rule.endpoint for rule in app.url_map.iter_rules()} == set(NEEDS)


def test_nothing_is_changed_by_get(app: Flask) -> None:
    reading = {"static", "service", "pipes", "surfaces"}
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and rule.endpoint.partition(".")[0] not in reading:
            assert rule.endpoint.partition(".")[2].startswith(("show_", "get_")), rule


def paths(app: Flask) -> list[tuple[str, str, str]]:
    """(endpoint, method, path) of all that needs a key."""
    with app.test_request_context():
        return [
            (rule.endpoint, method, rule.rule.replace("<name>", "popular").replace("<path:", "<").split("<")[0] or "/")
            if "<path:" not in rule.rule
            else (rule.endpoint, method, rule.rule.split("<")[0] + "popular")
            for rule in app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"OPTIONS"}
            if NEEDS[rule.endpoint]
        ]


def test_without_a_key_nothing_but_health_is_answered(app: Flask, nobody: Caller) -> None:
    for endpoint, method, path in paths(app):
        assert nobody.open(path, method=method).status_code == 401, (endpoint, method, path)
    assert [nobody.get(path).status_code for path in ("/", "/healthz", "/readyz", "/static/page.js", "/workbench")] == [
        200
    ] * 5


def test_a_key_without_the_scope_gets_403_everywhere(app: Flask, caller: Callable[..., Caller]) -> None:
    metrics = caller("metrics")
    for endpoint, method, path in paths(app):
        if NEEDS[endpoint] != "metrics":
            response = metrics.open(path, method=method)
            assert response.status_code == 403, (endpoint, method, path, response.text)


@pytest.mark.parametrize(
    "path",
    [
        "/metrics/",
        "//metrics",
        "/./metrics",
        "/%6detrics",
        "/METRICS",
        "/metrics%00",
        "/pipes/../metrics",
        "/metrics;x",
        "/pipes//popular",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_no_spelling_of_a_path_gets_past(nobody: Caller, path: str, method: str) -> None:
    headers = {"X-HTTP-Method-Override": "OPTIONS", "X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz"}
    response = nobody.open(path, method=method, headers=headers)
    assert response.status_code in (401, 404, 405, 421), response.status_code
    assert "alsobought_" not in response.text


def test_options_answers_without_a_key_and_shows_nothing(nobody: Caller) -> None:
    response = nobody.open("/users/ada", method="OPTIONS")
    assert (response.status_code, response.text) == (200, "")


# Keys


def test_a_key_is_case_sensitive_whole_and_unique(app: Flask, key: Callable[..., tuple[str, Key]]) -> None:
    text, _ = key("metrics")
    assert Caller(app.test_client(), text).get("/metrics").status_code == 200
    for wrong in (
        text.upper(),
        text.swapcase(),
        text[:-1],
        text + "a",
        text[:-1] + "!",
        f"{text},{text}",
        text[::-1],
        "ab_secret_",
    ):
        assert Caller(app.test_client(), wrong).get("/metrics").status_code == 401
    scheme = app.test_client().get("/metrics", headers={"Authorization": f"bEARER  {text}"})
    assert scheme.status_code == 200
    basic = app.test_client().get("/metrics", headers={"Authorization": f"Basic {text}"})
    assert (basic.status_code, basic.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_a_revoked_key_and_its_tokens_end(app: Flask, shop: Service, key: Callable[..., tuple[str, Key]]) -> None:
    text, made = key("pipes:read")
    backend = Caller(app.test_client(), text)
    issued = json.loads(backend.post("/tokens", json={"params": {"user_id": "ada"}}).text)["token"]
    page = Caller(app.test_client(), issued)
    assert (backend.get(PRIVATE_URL).status_code, page.get("/pipes/recently_viewed").status_code) == (200, 200)
    revoke_key(shop.warehouse, made, utc_now())
    app.extensions["gate"].refresh()
    refused = backend.get(PRIVATE_URL)
    assert (refused.status_code, error_of(refused)["message"]) == (401, f"the key {made.key_id} is revoked")
    assert page.get("/pipes/recently_viewed").status_code == 401


def test_an_expired_key_ends_although_it_was_verified(
    app: Flask, key: Callable[..., tuple[str, Key]], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, made = key("metrics", expires=timedelta(hours=1))
    assert Caller(app.test_client(), text).get("/metrics").status_code == 200
    later = utc_now() + timedelta(hours=2)
    monkeypatch.setattr("alsobought.access.gate.time.time", later.timestamp)
    monkeypatch.setattr("alsobought.access.gate._now", lambda: later)
    refused = Caller(app.test_client(), text).get("/metrics")
    assert error_of(refused)["message"] == f"the key {made.key_id} has expired"


def test_a_key_of_another_process_works_at_once(app: Flask, shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alsobought.access.gate.MISS_SECONDS", 0.0)
    text, _ = create_key(shop.warehouse, NewKey(name="new", scopes=("metrics",)), utc_now())
    assert Caller(app.test_client(), text).get("/metrics").status_code == 200


def test_a_secret_key_in_a_url_or_a_body_is_refused_and_named_nowhere(
    app: Flask, key: Callable[..., tuple[str, Key]], caplog: pytest.LogCaptureFixture
) -> None:
    text, _ = key("admin")
    caplog.set_level("DEBUG", "alsobought")
    admin = Caller(app.test_client(), text)
    encoded = "".join(f"%{ord(letter):02x}" for letter in text)
    responses = [
        admin.get(f"/pipes/popular?key={text}"),
        admin.get(f"/pipes/popular?category={encoded}"),
        admin.get(f"/pipes/{text}"),
        admin.get(f"/nothing/{text}"),
        Caller(app.test_client()).post("/events", data=json.dumps({"key": text, "events": [VIEW]})),
        admin.post("/events", json=VIEW | {"properties": {"token": text}}),
        admin.post("/pipes/popular", json={"category": text}),
    ]
    for response in responses:
        assert response.status_code == 401, response.text
        assert text[21:] not in response.text
        assert "Authorization: Bearer" in error_of(response)["hint"]
    assert text[21:] not in caplog.text


def test_the_admin_key_of_the_setting_is_refused_in_a_url(app: Flask, nobody: Caller) -> None:
    assert Caller(app.test_client(), ADMIN).get("/metrics").status_code == 200
    assert nobody.get(f"/metrics?key={ADMIN}").status_code == 401
    assert Caller(app.test_client(), ADMIN.upper()).get("/metrics").status_code == 401


def test_no_secret_is_stored_or_shown(app: Flask, shop: Service, key: Callable[..., tuple[str, Key]]) -> None:
    text, made = key("metrics")
    gate = app.extensions["gate"]
    (listed,) = [one for one in all_keys(shop.warehouse) if one.key_id == made.key_id]
    secret = text.rpartition("_")[2]
    assert secret not in f"{listed.hash}{listed!r}{made!r}{gate!r}{gate.signer!r}"
    assert secret not in str(shop.warehouse.trusted_rows(f"select * from {shop.warehouse.database}.access_keys").data)


def test_no_pipe_reads_the_keys(shop: Service) -> None:
    entry = shop.library.draft("thief", "-- Keys.\n\nselect key_id from access_keys order by key_id limit 1\n")
    assert entry.fault
    assert "no table access_keys" in entry.fault.message


# Browser keys


def test_a_browser_key_asks_public_pipes_from_its_pages(browser: Caller, app: Flask) -> None:
    allowed = browser.get(PUBLIC_URL)
    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert {"Authorization", "Origin", "Accept"} <= set(", ".join(allowed.headers.getlist("Vary")).split(", "))
    assert allowed.headers["Cache-Control"] == "private, no-cache"
    assert allowed.headers["RateLimit-Policy"] == '"requests";q=600;w=60'


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://shop.example.evil.example"},
        {"Origin": "http://shop.example"},
        {"Origin": ""},
        {"Origin": "", "Referer": "https://evil.example/https://shop.example"},
    ],
)
def test_a_browser_key_is_not_valid_elsewhere(browser: Caller, headers: dict[str, str]) -> None:
    response = browser.get(PUBLIC_URL, headers=headers)
    assert response.status_code == 403
    assert "Access-Control-Allow-Origin" not in response.headers or headers["Origin"] == ORIGIN
    assert browser.get(PUBLIC_URL, headers={"Origin": "", "Referer": f"{ORIGIN}/cart"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        PRIVATE_URL,
        f"{PUBLIC_URL}&user_id=ada",
        "/pipes/active_users",
        "/pipes/users_for_item?item_id=tea",
        "/pipes/recently_viewed.csv?user_id=ada",
    ],
)
def test_a_browser_key_asks_nothing_about_users(browser: Caller, path: str) -> None:
    response = browser.get(path)
    assert (response.status_code, response.headers["Cache-Control"]) == (403, "no-store")
    assert "secret key, or with a token" in error_of(response)["hint"]


def test_a_body_hides_no_parameter(browser: Caller) -> None:
    assert browser.post("/pipes/also_bought", json={"item_id": "tea", "user_id": "ada"}).status_code == 403
    assert browser.post("/pipes/also_bought", json={"item_id": "tea", "user_id": ["ada"]}).status_code == 403
    assert browser.post("/pipes/also_bought", data="item_id=tea&user_id=ada").status_code == 400
    assert browser.post("/pipes/also_bought?user_id=ada", json={"item_id": "tea"}).status_code == 403
    assert browser.get(f"{PUBLIC_URL}&USER_ID=ada").status_code == 400


def test_the_list_has_what_the_caller_may_ask(
    shop: Service,
    browser: Caller,
    caller: Callable[..., Caller],
    token: Callable[..., Caller],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = [
        "active_users",
        "also_bought",
        "popular",
        "reciprocal",
        "recently_viewed",
        "user_features",
        "users_for_item",
    ]
    monkeypatch.setattr(shop.library, "names", lambda: some)

    def names(asking: Caller) -> set[str]:
        return {pipe["name"] for pipe in json.loads(asking.get("/pipes").text)["pipes"]}

    every = names(caller("pipes:read"))
    assert {"recently_viewed", "also_bought", "active_users"} <= every
    assert {"also_bought", "popular"} <= names(browser)
    assert not {"recently_viewed", "active_users", "reciprocal", "users_for_item", "user_features"} & names(browser)
    assert "recently_viewed" in names(token())
    assert not {"active_users", "users_for_item"} & names(token())
    assert names(caller("pipes:read:popular")) == {"popular"}


def test_a_key_in_the_query_is_no_parameter_and_is_not_recorded(
    app: Flask, shop: Service, key: Callable[..., tuple[str, Key]]
) -> None:
    text, _ = key(browser=True, origins=(ORIGIN,))
    page = Caller(app.test_client(), Origin=ORIGIN)
    response = page.get(f"/pipes/popular?key={text}&limit=1")
    assert response.status_code == 200
    assert shop.request_log
    shop.request_log.flush()
    recorded = shop.warehouse.trusted_rows(f"select parameters from {shop.warehouse.database}.requests").data
    assert not [row for row in recorded if text in row[0]]
    assert page.get(f"/pipes/popular?key={text}&key={text}").status_code == 401


def test_a_referrer_that_is_no_url_is_no_page_of_an_origin(app: Flask, key: Callable[..., tuple[str, Key]]) -> None:
    text, _ = key(browser=True, origins=(ORIGIN,))
    assert Caller(app.test_client(), Referer="https://[").get(f"/pipes/popular?key={text}").status_code == 403


def test_a_beacon_carries_its_key_in_the_body(app: Flask, shop: Service, key: Callable[..., tuple[str, Key]]) -> None:
    text, _ = key(browser=True, origins=(ORIGIN,))
    page = Caller(app.test_client(), Origin=ORIGIN)
    body = json.dumps({"key": text, "events": [VIEW | {"user_id": "beacon"}]})
    response = page.post("/events?wait=true", data=body, content_type="text/plain")
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    assert "beacon" in stored(shop, "user_id")
    assert page.post(f"/events?key={text}", json=VIEW).status_code == 202
    evil = Caller(app.test_client(), Origin="https://evil.example").post("/events", data=body)
    assert evil.status_code == 403
    assert Caller(app.test_client()).post("/events", data=body).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        '{"key": "%s", "key": "x", "events": []}',
        '{"key": "x", "key": "%s", "events": []}',
        '{"key": "%s", "events": [], "events": []}',
        '{"key": ["%s"], "events": []}',
        '{"key": "%s", "events": [], "more": 1}',
    ],
)
def test_a_body_with_two_keys_is_refused(app: Flask, key: Callable[..., tuple[str, Key]], body: str) -> None:
    text, _ = key(browser=True, origins=(ORIGIN,))
    page = Caller(app.test_client(), Origin=ORIGIN)
    assert page.post("/events", data=body % text).status_code == 400


def test_a_key_that_is_not_on_top_of_the_body_is_none(app: Flask, key: Callable[..., tuple[str, Key]]) -> None:
    text, _ = key(browser=True, origins=(ORIGIN,))
    page = Caller(app.test_client(), Origin=ORIGIN)
    for body in (
        f'[{{"key": "{text}", "events": []}}]',
        f'{{"events": [{{"key": "{text}"}}]}}',
        f'{{"key": "{text}"}}\n{{}}',
    ):
        assert page.post("/events", data=body).status_code == 401
    assert page.post("/items", json={"key": text, "events": []}).status_code == 401


def test_a_preflight_names_no_credentials(app: Flask, browser: Caller) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    response = Caller(app.test_client(), Origin=ORIGIN).open("/events", method="OPTIONS", headers=asked)
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    assert "Access-Control-Allow-Credentials" not in response.headers
    evil = Caller(app.test_client(), Origin="https://evil.example").open("/events", method="OPTIONS", headers=asked)
    assert "Access-Control-Allow-Origin" not in evil.headers
    workbench = Caller(app.test_client(), Origin=ORIGIN).open("/workbench/live", method="OPTIONS", headers=asked)
    assert "Access-Control-Allow-Origin" not in workbench.headers


# Tokens


def test_a_token_fills_in_its_user(token: Callable[..., Caller]) -> None:
    filled = json.loads(token().get("/pipes/recently_viewed").text)
    assert filled["data"] == json.loads(token().get(PRIVATE_URL).text)["data"]
    assert json.loads(token().post("/pipes/recently_viewed", json={}).text)["data"] == filled["data"]


@pytest.mark.parametrize(
    "path",
    [
        "/pipes/recently_viewed?user_id=bob",
        "/pipes/recently_viewed?user_id=ada&user_id=bob",
        "/pipes/recently_viewed?user_id=ada&user_id=ada",
        "/pipes/recently_viewed?user_id=Ada",
        "/pipes/recently_viewed?user_id=ada%20",
        "/pipes/recently_viewed?user_id=%61da&user_id=",
        "/pipes/recently_viewed?user_id=",
        "/pipes/recently_viewed?user_id=ada,bob",
        "/pipes/also_bought?item_id=tea&user_id=bob",
        "/pipes/active_users",
    ],
)
def test_a_token_asks_for_nobody_else(token: Callable[..., Caller], path: str) -> None:
    assert token().get(path).status_code == 403


@pytest.mark.parametrize(
    "body", [{"user_id": "bob"}, {"user_id": ["ada", "bob"]}, {"user_id": ["bob"]}, {"user_id": 5}]
)
def test_a_body_changes_no_fixed_parameter(token: Callable[..., Caller], body: dict[str, object]) -> None:
    assert token().post("/pipes/recently_viewed", json=body).status_code == 403
    assert token().post("/pipes/recently_viewed?user_id=ada", json=body).status_code == 403
    assert (
        token()
        .post("/pipes/recently_viewed", data=json.dumps({"user_id": "ada"})[:-1] + ', "user_id": "bob"}')
        .status_code
        == 400
    )
    assert token().get("/pipes/recently_viewed?USER_ID=bob").status_code == 400


def test_a_pipe_that_ignores_what_a_token_fixes_is_not_asked(app: Flask) -> None:
    text, _ = app.extensions["gate"].signer.sign(Grant(params={"category": "Kitchen"}), "")
    kitchen = Caller(app.test_client(), text)
    assert kitchen.get("/pipes/popular").status_code == 200
    assert kitchen.get("/pipes/popular?category=Garden").status_code == 403
    assert kitchen.get("/pipes/item_features?item_id=tea").status_code == 403


def test_another_admin_key_ends_what_the_first_one_issued(app: Flask, shop: Service) -> None:
    issued = Caller(app.test_client(), ADMIN).post("/tokens", json={"params": {"user_id": "ada"}})
    text = json.loads(issued.text)["token"]
    for admin_key, status in ((ADMIN, 200), ("b" * 40, 401)):
        gate = Gate(msgspec.structs.replace(shop.settings, admin_key=admin_key), shop.warehouse, loopback=True)
        page = Caller(create_app(shop, gate=gate).test_client(), text)
        assert page.get("/pipes/popular").status_code == status


def test_a_named_pipe_is_the_only_one(token: Callable[..., Caller]) -> None:
    page = token(pipes=("active_users",))
    assert (page.get("/pipes/active_users").status_code, page.get(PUBLIC_URL).status_code) == (200, 403)


def test_a_token_with_events_posts_those_of_its_user(token: Callable[..., Caller], shop: Service) -> None:
    page = token("eve", scopes=("pipes:read", "events:write"))
    bare = {"event_type": "view", "item_id": "tea"}
    sent = page.post("/events?wait=true", json=[bare, bare | {"user_id": "eve"}, bare | {"user_id": "bob"}])
    body = json.loads(sent.text)
    assert body["accepted"] == 2
    assert body["rejected"] == [
        {"index": 2, "problem": "user_id: not that of the token, which is for the events of one user"}
    ]
    assert token().post("/events", json=VIEW).status_code == 403
    for path in ("/items", "/users", "/users/unmerge", "/tokens", "/events/segment"):
        assert page.post(path, json={}).status_code == 403


def test_a_token_merges_guests_of_its_own_browser_only(app: Flask, token: Callable[..., Caller], shop: Service) -> None:
    page, guest = token("fay", scopes=("pipes:read", "events:write")), f"guest-{'0' * 31}a"
    view = VIEW | {"user_id": "", "session_id": guest}
    assert Caller(app.test_client(), ADMIN).post("/events?wait=true", json=view).status_code == 200

    def merge(guest_id: str, user_id: str, by: Caller = page) -> int:
        return by.post("/users/merge", json={"guest_id": guest_id, "user_id": user_id}).status_code

    assert [merge("ada", "fay"), merge(guest, "ada"), merge(guest, "fay", token("fay"))] == [403] * 3
    assert merge(guest, "fay") == 200
    assert "fay" in stored(shop, "user_id")
    statuses = [merge(guest, "fay") for _ in range(10)]
    assert statuses == [200] * 9 + [429], "merges are work for the writer"


def test_a_token_has_no_right_that_its_key_lacks(app: Flask, caller: Callable[..., Caller]) -> None:
    one = caller("pipes:read:popular")
    assert one.post("/tokens", json={"pipes": ["recently_viewed"]}).status_code == 403
    assert one.post("/tokens", json={"params": {"user_id": "a"}, "scopes": ["events:write"]}).status_code == 403
    assert caller("events:write").post("/tokens", json={}).status_code == 403
    text = json.loads(one.post("/tokens", json={"params": {"user_id": "ada"}}).text)["token"]
    page = Caller(app.test_client(), text)
    assert (page.get("/pipes/popular").status_code, page.get("/pipes/recently_viewed").status_code) == (200, 403)


def test_a_token_of_one_origin_is_not_valid_on_another(token: Callable[..., Caller]) -> None:
    page = token(origin=ORIGIN)
    assert page.get("/pipes/recently_viewed", headers={"Origin": ORIGIN}).status_code == 200
    assert page.get("/pipes/recently_viewed", headers={"Origin": "https://evil.example"}).status_code == 403
    assert page.get("/pipes/recently_viewed").status_code == 403


# The fast lane


def head(url: str, credential: str = "", **headers: str) -> bytes:
    lines = {"Host": "localhost", "Accept": "*/*"} | headers
    if credential:
        lines["Authorization"] = f"Bearer {credential}"
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET {url} HTTP/1.1\r\n{text}\r\n".encode()


def test_the_fast_lane_answers_a_keyed_request_for_that_key_only(
    app: Flask, shop: Service, key: Callable[..., tuple[str, Key]]
) -> None:
    lane, url = app.extensions["fast_lane"], "/pipes/buy_again?user_id=ada&limit=1"
    (text, made), (public, _), (narrow, _) = key("pipes:read"), key(browser=True, origins=(ORIGIN,)), key("metrics")
    for _ in range(2):
        asked = Caller(app.test_client(), text, Accept="*/*", Host="localhost").get(url)
        assert asked.status_code == 200
    answer = lane.respond(head(url, text))
    assert answer
    assert b"Vary: Authorization" in answer
    assert b"private, no-cache" in answer
    for other in ("", public, narrow, text.upper(), f"{text} ", "x"):
        assert lane.respond(head(url, other)) is None or other.strip() == text
    for changed in ({"Range": "bytes=0-1"}, {"Connection": "keep-alive"}):
        assert lane.respond(head(url, public, **changed)) is None
    assert lane.respond(head(url, text, **{"If-None-Match": "*"})) is None
    assert lane.respond(head(url, text).replace(b"HTTP/1.1", b"HTTP/1.0")) is None
    assert (
        lane.respond(head(url, text).replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {public}\r\n\r\n".encode()))
        is None
    )
    revoke_key(shop.warehouse, made, utc_now())
    app.extensions["gate"].refresh()
    assert lane.respond(head(url, text)) is None


def test_the_fast_lane_repeats_a_token_for_itself_only(app: Flask, token: Callable[..., Caller]) -> None:
    lane, url = app.extensions["fast_lane"], "/pipes/recently_viewed"
    signer = app.extensions["gate"].signer
    (ada, _), (bob, _) = (signer.sign(Grant(params={"user_id": name}), "") for name in ("ada", "bob"))
    for text in (ada, bob):
        assert Caller(app.test_client(), text, Accept="*/*", Host="localhost").get(url).status_code == 200
    assert lane.respond(head(url, ada))
    assert lane.respond(head(url)) is None


def test_the_fast_lane_counts_and_refuses_beyond_the_limit(app: Flask, key: Callable[..., tuple[str, Key]]) -> None:
    lane, url = app.extensions["fast_lane"], "/pipes/popular?limit=3"
    text, _ = key("pipes:read", rate="5/hour")
    backend = Caller(app.test_client(), text, Accept="*/*", Host="localhost")
    assert backend.get(url).status_code == 200
    answers = [lane.respond(head(url, text)) for _ in range(6)]
    assert [bool(answer) for answer in answers] == [True, True, True, True, False, False]
    assert b'RateLimit: "requests";r=3;' in (answers[0] or b"")
    refused = backend.get(url)
    assert (refused.status_code, error_of(refused)["code"]) == (429, "too_many_requests")
    assert int(refused.headers["Retry-After"]) > 600


# Limits


def test_failures_of_an_address_are_limited_and_valid_keys_go_on(
    app: Flask, key: Callable[..., tuple[str, Key]]
) -> None:
    text, _ = key("metrics")
    address = {"REMOTE_ADDR": "9.9.9.9"}

    def status(credential: str) -> int:
        headers = {"Authorization": f"Bearer {credential}"}
        return app.test_client().get("/metrics", headers=headers, environ_overrides=address).status_code

    assert {status(f"wrong{number}") for number in range(30)} == {401}
    assert (status("wrong"), status(text)) == (429, 200)


def test_a_browser_key_is_limited_by_address(app: Flask, key: Callable[..., tuple[str, Key]]) -> None:
    text, _ = key(browser=True, origins=(ORIGIN,), rate="2/hour")

    def statuses(peer: str, forwarded: str = "") -> list[int]:
        headers = {"Authorization": f"Bearer {text}", "Origin": ORIGIN, "X-Forwarded-For": forwarded}
        page, peer_is = app.test_client(), {"REMOTE_ADDR": peer}
        return [page.get(PUBLIC_URL, headers=headers, environ_overrides=peer_is).status_code for _ in range(3)]

    assert statuses("9.9.9.9") == [200, 200, 429]
    assert statuses("9.9.9.9", "1.2.3.4") == [429, 429, 429]
    assert statuses("9.9.9.8") == [200, 200, 429]
    assert statuses("10.0.0.1", "1.2.3.4") == [200, 200, 429]
    assert statuses("2001:db8::1") == [200, 200, 429]
    assert statuses("2001:db8::2") == [429, 429, 429]


# Modes, and what is around


def test_without_a_key_the_demo_is_open_and_the_first_key_closes_it(make_shop: Callable[..., Service]) -> None:
    shop = make_shop()
    app = create_app(shop)
    page = app.test_client()
    assert page.get("/pipes/popular").status_code == 200
    create_key(shop.warehouse, NewKey(name="first", scopes=("metrics",)), utc_now())
    app.extensions["gate"].refresh()
    assert page.get("/pipes/popular").status_code == 401


def test_open_access_stays_open_and_honours_tokens(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(access="open", token_secret="t" * 32, host="0.0.0.0")  # noqa: S104
    create_key(shop.warehouse, NewKey(name="first", scopes=("metrics",)), utc_now())
    app = create_app(shop)
    assert app.test_client().get("/pipes/popular").status_code == 200
    issued = app.test_client().post("/tokens", json={"params": {"user_id": "ada"}})
    page = Caller(app.test_client(), json.loads(issued.text)["token"])
    assert (
        page.get("/pipes/recently_viewed").status_code,
        page.get("/pipes/recently_viewed?user_id=bob").status_code,
    ) == (200, 403)


def test_readiness_without_a_key_is_a_status_only(nobody: Caller, caller: Callable[..., Caller]) -> None:
    assert json.loads(nobody.get("/readyz").text) == {"status": "ready"}
    assert "as_of" in json.loads(caller("metrics").get("/readyz").text)


def test_a_webhook_takes_its_secret_or_a_key(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(access="keys", admin_key=ADMIN, webhook_secret="s3cret")  # noqa: S106
    call = {"type": "track", "event": "Product Viewed", "userId": "u", "properties": {"product_id": "tea"}}
    client = create_app(shop).test_client()
    for authorization, status in ((f"Bearer {ADMIN}", 202), ("Bearer s3cret", 202), ("Bearer other", 401), ("", 401)):
        sent = client.post("/events/segment", json=call, headers={"Authorization": authorization})
        assert sent.status_code == status, authorization
    text, _ = create_key(shop.warehouse, NewKey(name="w", scopes=("events:write", "users:write")), utc_now())
    app = create_app(shop)
    assert Caller(app.test_client(), text).post("/events/segment", json=call).status_code == 202


def test_every_response_has_the_headers_for_browsers(app: Flask, nobody: Caller) -> None:
    for path in ("/", "/healthz", "/nothing", "/metrics", "/static/page.js"):
        response = nobody.get(path)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "Strict-Transport-Security" not in response.headers
    page = nobody.get("/")
    assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "geolocation=()" in page.headers["Permissions-Policy"]
    secure = app.test_client().get("/healthz", base_url="https://shop.example")
    assert secure.headers["Strict-Transport-Security"].startswith("max-age=31536000")


# The login


def cookie_of(response: TestResponse) -> str:
    return response.headers["Set-Cookie"].split(";")[0]


def test_a_login_takes_a_key_with_edit_and_its_cookie_is_out_of_reach(
    app: Flask, caller: Callable[..., Caller], browser: Caller, token: Callable[..., Caller]
) -> None:
    logged_in = caller("edit").post("/workbench/session")
    assert logged_in.status_code == 200
    attributes = logged_in.headers["Set-Cookie"]
    assert "HttpOnly" in attributes
    assert "SameSite=Strict" in attributes
    assert "Secure" not in attributes
    for other in (caller("pipes:read"), browser, token(), Caller(app.test_client())):
        assert "Set-Cookie" not in other.post("/workbench/session").headers


def test_a_session_uses_the_page_and_nobody_else_uses_the_session(app: Flask, caller: Callable[..., Caller]) -> None:
    cookie = cookie_of(caller("edit").post("/workbench/session"))
    page = Caller(app.test_client(use_cookies=False), Cookie=cookie, **{"Sec-Fetch-Site": "same-origin"})
    for path in ("/pipes", PRIVATE_URL, "/workbench/live", "/docs"):
        assert page.get(path).status_code == 200
    assert json.loads(page.get("/workbench").text)["session"] is True
    assert page.get("/metrics").status_code == 403
    draft = {"text": "-- One.\n\nselect 1 as one order by one limit 1\n"}
    own = {"Origin": "http://localhost", "X-Workbench": "1"}
    assert page.post("/workbench/pipes/popular/draft", json=draft, headers=own).status_code == 200
    for headers in (
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://other.localhost"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": ""},
        {"Sec-Fetch-Site": "", "Origin": "null"},
    ):
        assert page.post("/workbench/pipes/popular/draft", json=draft, headers=headers).status_code == 403, headers
        assert page.post("/events", json=VIEW, headers=headers).status_code == 403
    assert page.get(PRIVATE_URL, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_a_session_is_no_token_ends_with_its_key_and_stays_out_of_the_fast_lane(
    app: Flask, shop: Service, key: Callable[..., tuple[str, Key]]
) -> None:
    text, made = key("edit")
    cookie = cookie_of(Caller(app.test_client(), text).post("/workbench/session"))
    session = cookie.partition("=")[2]
    assert Caller(app.test_client(), session).get("/pipes").status_code == 401
    page = Caller(app.test_client(use_cookies=False), Cookie=cookie, Accept="*/*", Host="localhost")
    url = "/pipes/popular?limit=7"
    assert [page.get(url).status_code for _ in range(2)] == [200, 200]
    assert app.extensions["fast_lane"].respond(head(url, Cookie=cookie)) is None
    assert app.extensions["fast_lane"].respond(head(url)) is None
    forged = Caller(app.test_client(use_cookies=False), Cookie=f"{cookie}x")
    assert forged.get(url).status_code == 401
    revoke_key(shop.warehouse, made, utc_now())
    app.extensions["gate"].refresh()
    assert page.get(url).status_code == 401
    assert "Max-Age=0" in page.open("/workbench/session", method="DELETE").headers["Set-Cookie"]
