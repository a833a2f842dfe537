"""Who changed what over HTTP, as the audit log has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient

from alsobought.access.audit import ACTIONS, Entry
from alsobought.access.audit_reading import Filter, entries
from alsobought.access.keys import Key, NewKey, create_key
from alsobought.access.roles import scopes_of
from alsobought.errors import NotStored
from alsobought.service.service import Service
from alsobought.storage.identities import user_key
from alsobought.storage.retention import apply_retention
from alsobought.web.factory import create_app
from alsobought.writer.submission import utc_now
from tests.support.project import ROOT, project_folder
from tests.support.web import VIEW, error_of, stored

ADDRESS = "203.0.113.9"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    project_folder(home)
    return home


@pytest.fixture(scope="module")
def shop(make_shared_shop: Callable[..., Service], home: Path) -> Service:
    return make_shared_shop(utc_now, access="keys", token_secret="t" * 32, home=str(home))


@pytest.fixture(scope="module")
def app(shop: Service) -> Flask:
    return create_app(shop, edit=True)


@pytest.fixture(scope="module")
def admin(shop: Service, app: Flask) -> tuple[str, Key]:
    return made(shop, app, "root", "admin")


def made(shop: Service, app: Flask, name: str, role: str) -> tuple[str, Key]:
    new = NewKey(name=name, scopes=tuple(scopes_of(role))).checked()
    key = create_key(shop.warehouse, new, utc_now())
    app.extensions["gate"].refresh()
    return key


def client_of(app: Flask, text: str) -> FlaskClient:
    client = app.test_client()
    client.environ_base |= {"HTTP_AUTHORIZATION": f"Bearer {text}", "REMOTE_ADDR": ADDRESS}
    return client


@pytest.fixture
def client(app: Flask, admin: tuple[str, Key]) -> FlaskClient:
    return client_of(app, admin[0])


def newest(shop: Service, action: str = "") -> Entry:
    return entries(shop.warehouse, Filter(action=action, limit=1))[0]


def test_an_entry_says_who_did_what_from_where(shop: Service, client: FlaskClient, admin: tuple[str, Key]) -> None:
    items = [{"item_id": "tea", "title": "Tea"}, {"item_id": ""}]
    assert client.post("/items?wait=true", json=items).status_code == 200
    entry = newest(shop)
    assert (entry.action, entry.outcome, entry.via) == ("items.write", "done", "api")
    assert (entry.actor, entry.actor_name, entry.address) == (admin[1].key_id, "root", ADDRESS)
    assert entry.detail == {"items": 1, "rejected": 1, "replace": False}
    assert entry.finished_at
    assert client.delete("/items/tea").status_code == 202
    assert (newest(shop).action, newest(shop).object) == ("item.delete", "item tea")


def test_events_and_attributes_are_the_ordinary_flow(shop: Service, client: FlaskClient) -> None:
    before = newest(shop)
    client.post("/events?wait=true", json=VIEW)
    client.post("/users?wait=true", json={"user_id": "u", "attributes": {"region": "Bavaria"}})
    assert newest(shop) == before


def test_users_are_named_by_their_key_and_never_in_clear(shop: Service, client: FlaskClient) -> None:
    guest, user = "guest-7f3a", "grace.hopper"
    client.post("/events?wait=true", json=[VIEW | {"user_id": guest}, VIEW | {"user_id": user}])
    assert client.post("/users/merge", json={"guest_id": guest, "user_id": user}).status_code == 200
    merged = newest(shop, "user")
    keys = [user_key(shop.warehouse, one) for one in (guest, user)]
    assert (merged.action, merged.object) == ("user.merge", f"user {keys[0]} into user {keys[1]}")
    assert client.post("/users/merge", json={"guest_id": user, "user_id": user}).status_code == 400
    assert (newest(shop).outcome, newest(shop).detail) == ("failed", {"error": "bad_request"})
    assert client.post("/users/unmerge", json={"guest_id": guest}).status_code == 200
    assert client.delete(f"/users/{user}?wait=true").status_code == 200
    actions = [entry.action for entry in entries(shop.warehouse, Filter(user=user))]
    assert actions == ["user.delete", "user.merge", "user.merge"]
    assert [entry.action for entry in entries(shop.warehouse, Filter(user=guest))] == ["user.unmerge", "user.merge"]
    text = str(shop.warehouse.trusted_rows(f"select * from {shop.settings.database}.audit_log").data)
    assert guest not in text
    assert user not in text


def test_a_saved_pipe_is_recorded_with_what_changed(shop: Service, client: FlaskClient, home: Path) -> None:
    path = home / "pipes" / "popular.sql"
    shown = client.get("/workbench/pipes/popular").get_json()
    changed = shown["text"].replace("-- ", "-- Changed. ", 1)
    body = {"text": changed, "based_on": shown["hash"]}
    saved = client.post("/workbench/pipes/popular/save", json=body, headers={"X-Workbench": "1"})
    assert saved.status_code == 200, saved.text
    entry = newest(shop)
    assert (entry.action, entry.object, entry.via) == ("pipe.save", "pipes/popular.sql", "workbench")
    assert (entry.detail["old"], entry.detail["new"]) == (shown["hash"], saved.get_json()["hash"])
    assert "\n+-- Changed. " in entry.detail["diff"]
    assert path.read_text() == changed
    assert client.post("/workbench/pipes/popular/save", json=body).status_code == 409
    assert (newest(shop).outcome, newest(shop).detail["error"]) == ("failed", "not_saved")


def test_logins_are_recorded_and_refused_ones_counted(shop: Service, app: Flask, admin: tuple[str, Key]) -> None:
    client = client_of(app, admin[0])
    assert client.post("/workbench/session").status_code == 200
    assert (newest(shop).action, newest(shop).actor_name) == ("workbench.log_in", "root")
    session = app.test_client()
    session.set_cookie("alsobought_session", app.extensions["gate"].signer.sign_session(admin[1].key_id))
    assert session.delete("/workbench/session", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert (newest(shop).action, newest(shop).via) == ("workbench.log_out", "workbench")
    thief = client_of(app, "ab_secret_abcdefghij_" + "x" * 43)
    for _ in range(4):
        assert thief.post("/workbench/session").status_code == 401
    app.extensions["audit"].flush()
    failed = newest(shop)
    assert (failed.action, failed.times, failed.actor, failed.outcome) == ("workbench.log_in_failed", 4, "", "failed")
    assert (failed.address, failed.object) == (ADDRESS, "401")


def test_tokens_are_counted_for_their_key(shop: Service, app: Flask, client: FlaskClient) -> None:
    for _ in range(3):
        assert client.post("/tokens", json={"params": {"user_id": "ada"}}).status_code == 201
    app.extensions["audit"].flush()
    assert (newest(shop).action, newest(shop).times, newest(shop).actor_name) == ("token.issue", 3, "root")


def test_nothing_is_changed_if_it_cannot_be_recorded(
    shop: Service, app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotStored("the disk is full")

    client.post("/items?wait=true", json={"item_id": "mug", "title": "Mug"})
    before = stored(shop)
    monkeypatch.setattr(app.extensions["audit"], "_store", refuse)
    posts: list[tuple[str, str, Any]] = [
        ("POST", "/items", {"item_id": "mug", "title": "Cup"}),
        ("DELETE", "/items/mug", None),
        ("DELETE", "/users/u", None),
        ("POST", "/users/merge", {"guest_id": "g1", "user_id": "u"}),
        ("POST", "/workbench/session", None),
        ("POST", "/tokens", {"params": {"user_id": "bob"}}),
    ]
    app.extensions["audit"]._counted.clear()
    for method, path, body in posts:
        response = client.open(path, method=method, json=body)
        assert (response.status_code, error_of(response)["code"]) == (503, "not_stored"), path
    assert client.get("/items/mug").get_json()["title"] == "Mug"
    assert stored(shop) == before
    assert client.post("/events?wait=true", json=VIEW).status_code == 200, "events need no entry"


def test_administrators_read_the_log_and_nobody_else(
    shop: Service, app: Flask, client: FlaskClient, admin: tuple[str, Key]
) -> None:
    client.delete("/items/tea")
    shown = client.get("/audit?since=7d&action=item&limit=1").get_json()["entries"]
    assert [(one["action"], one["actor_name"], one["outcome"]) for one in shown] == [("item.delete", "root", "done")]
    assert client.get(f"/audit?actor={admin[1].key_id}").get_json()["entries"]
    assert client.get("/audit?actor=nobody").get_json()["entries"] == []
    analyst = client_of(app, made(shop, app, "ada", "analyst")[0])
    assert analyst.get("/audit").status_code == 403
    assert app.test_client().get("/audit").status_code == 401
    for wrong in ("since=soon", "limit=0", "limit=x", "actors=ada"):
        assert client.get(f"/audit?{wrong}").status_code == 400, wrong


def test_no_pipe_reads_the_log(shop: Service) -> None:
    entry = shop.library.draft("spy", "-- Spy.\n\nselect address from audit_log order by address limit 1\n")
    assert entry.fault
    assert "no table audit_log" in entry.fault.message


def test_an_analyst_edits_pipes_and_reads_every_one_and_changes_nothing_else(shop: Service, app: Flask) -> None:
    analyst = client_of(app, made(shop, app, "grace", "analyst")[0])
    can = analyst.get("/workbench").get_json()
    expected = {"open": True, "edit": True, "post": False, "audit": False, "name": "grace", "role": "analyst"}
    assert {name: can[name] for name in expected} == expected
    text = analyst.get("/workbench/pipes/trending").get_json()["text"]
    assert analyst.post("/workbench/pipes/trending/draft", json={"text": text}).status_code == 200
    assert analyst.get("/pipes/recently_viewed?user_id=ada").status_code == 200
    assert analyst.get("/items/mug").status_code == 200
    refused = [
        ("POST", "/events"),
        ("POST", "/items"),
        ("DELETE", "/items/mug"),
        ("POST", "/users"),
        ("GET", "/metrics"),
    ]
    refused += [("POST", "/users/merge"), ("DELETE", "/users/ada"), ("GET", "/users/ada"), ("GET", "/audit")]
    for method, path in refused:
        assert analyst.open(path, method=method).status_code == 403, (method, path)


def test_every_action_is_documented() -> None:
    page = (ROOT / "docs" / "how-to" / "secure.md").read_text()
    table = page.partition("## Who changed what")[2].partition("\n## ")[0]
    assert {action for action in ACTIONS if f"`{action}`" not in table} == set()
    used = "\n".join(path.read_text() for path in (ROOT / "app" / "alsobought").rglob("*.py"))
    templates = {"user.merge", "user.unmerge"}  # of the one endpoint
    assert {action for action in ACTIONS if used.count(f'"{action}"') < 2} <= templates


def test_entries_are_deleted_after_the_days_of_the_setting(shop: Service) -> None:
    def definition() -> str:
        sql = "select create_table_query from system.tables where database = {db:String} and name = 'audit_log'"
        return str(shop.warehouse.trusted_rows(sql, {"db": shop.settings.database}).data[0][0])

    assert "toIntervalDay(365)" in definition()
    for days, text in ((30, "toIntervalDay(30)"), (0, ""), (365, "toIntervalDay(365)")):
        settings = msgspec.structs.replace(shop.settings, audit_retention_days=days)
        assert not apply_retention(shop.warehouse, settings, utc_now(), shop.writers[0].take_seq())
        assert (text in definition(), "TTL" in definition()) == (True, bool(days))


def test_details_are_json(shop: Service) -> None:
    rows = shop.warehouse.trusted_rows(f"select detail from {shop.settings.database}.audit_log where detail != ''").data
    assert all(isinstance(json.loads(detail), dict) for (detail,) in rows)
