"""Merges and their undoing: a guest's events become an account's, and the guest's again; nobody else's ever do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from alsobought.counts.consistency import check
from alsobought.errors import BadRequest
from alsobought.events import Event
from alsobought.privacy.export import export
from alsobought.privacy.merging import with_guests
from alsobought.service.service import Service
from alsobought.storage.identities import Merge
from alsobought.web.factory import create_app
from alsobought.writer import user_rewrite
from alsobought.writer.submission import Submission, utc_now
from alsobought.writer.writer import Writer
from tests.counts.test_invariant import CHECKS
from tests.support.fold import tables
from tests.support.web import VIEW, error_of, stored, wrong_tables

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WHOSE = "item_id, user_id, guest_id"


def send(shop: Service, *events: Mapping[str, object]) -> None:
    rows = [msgspec.convert({"event_type": "view", "timestamp": NOON, **event}, Event) for event in events]
    shop.writer.submit(Submission(rows)).result()


def post(client: FlaskClient, path: str, **body: str) -> tuple[int, dict[str, Any]]:
    got = client.post(path, json=body)
    return got.status_code, json.loads(got.text)


def shown(client: FlaskClient, user: str) -> set[str]:
    reply = client.get(f"/pipes/recently_viewed?user_id={user}").json
    assert reply
    return {row["item_id"] for row in reply["data"]}


def test_an_unmerge_gives_back_the_events_from_before_the_merge_and_since_and_leaves_the_accounts(
    shop: Service,
) -> None:
    client = create_app(shop).test_client()
    bought = {"event_type": "purchase", "order_id": "o1", "session_id": "s1"}
    send(
        shop, {"session_id": "s1", "item_id": "tea"}, {**bought, "item_id": "tea"}, {"user_id": "ada", "item_id": "mug"}
    )
    of_guest = dict(export(shop.warehouse, "s1"))
    assert post(client, "/users/merge", guest_id="s1", user_id="ada")[1]["events"] == 2
    send(shop, {"session_id": "s1", "item_id": "pot"}, {**bought, "item_id": "pot"})
    login = {"user_id": "ada", "session_id": "s1"}  # ada's own, in the same browser
    send(shop, {**login, "item_id": "cup"}, {**bought, **login, "item_id": "cup"})
    send(shop, {"user_id": "bruno", "session_id": "s1", "item_id": "can"})  # and bruno's
    assert shown(client, "ada") == {"tea", "mug", "pot", "cup"}
    assert dict(export(shop.warehouse, "ada"))["user_merges"] == [{"guest_id": "s1"}]
    status, body = post(client, "/users/unmerge", guest_id="s1")
    assert (status, body["guest_id"], body["user_id"], body["events"]) == (200, "s1", "ada", 4)
    assert stored(shop, WHOSE) == [
        ["tea", "s1", ""],
        ["tea", "s1", ""],
        ["mug", "ada", ""],
        ["pot", "s1", ""],
        ["pot", "s1", ""],
        ["cup", "ada", ""],
        ["cup", "ada", ""],
        ["can", "bruno", ""],
    ]
    assert shown(client, "ada") == {"mug", "cup"}, "no cached answer from before"
    assert shown(client, "s1") == {"tea", "pot"}
    send(shop, {"session_id": "s1", "item_id": "bag"}, {**login, "item_id": "box"})
    assert stored(shop, WHOSE)[8:] == [["bag", "s1", ""], ["box", "ada", ""]]
    assert wrong_tables(shop) == {}
    assert {pair[:2] for pair in tables(shop.warehouse)["co_baskets"]} == {("tea", "pot"), ("pot", "tea")}
    exported = dict(export(shop.warehouse, "ada"))
    assert exported.pop("user_merges") == exported.pop("requests") == []
    items = {row["item_id"] for rows in exported.values() for row in rows if "item_id" in row}
    keys = {row["item_key"] for rows in exported.values() for row in rows if "item_key" in row}
    assert (items, len(keys)) == ({"mug", "cup", "box"}, 3), "nothing of a stranger"
    assert of_guest["events"] == dict(export(shop.warehouse, "s1"))["events"][:2]


@pytest.mark.thorough
def test_a_placeholder_is_merged_with_nobody(shop: Service) -> None:
    """A page reads its cookie too early and merges `undefined` at a login: everybody without a cookie would be ada."""
    client = create_app(shop).test_client()
    client.post("/events?wait=true", json={**VIEW, "user_id": "ada", "item_id": "pen"})
    for text in (
        "undefined",
        "null",
        "[object Object]",
        "00000000-0000-0000-0000-000000000000",
        "0",
        "anonymous",
        " NaN ",
    ):
        status, body = post(client, "/users/merge", guest_id=text, user_id="ada")
        assert (status, body["error"]["message"]) == (400, f"guest_id: {text!r} is a placeholder, not a user")
        assert body["error"]["hint"] == "Merge once both ids are known; sql/placeholders.csv lists the placeholders"
        status, body = post(client, "/users/merge", guest_id="s1", user_id=text)
        assert (status, body["error"]["message"]) == (400, f"user_id: {text!r} is a placeholder, not a user")
    view = {"event_type": "view", "session_id": "undefined", "item_id": "gift"}
    refused = client.post("/events?wait=true", json=view)
    assert refused.status_code == 400
    assert "session_id: 'undefined' is a placeholder, not a session" in error_of(refused)["message"]
    assert (
        client.post("/events?wait=true", json=[{**view, "user_id": "ada", "item_id": "cup"}, view]).status_code == 200
    )
    assert stored(shop, "item_id, user_id, session_id") == [["pen", "ada", ""], ["cup", "ada", ""]]
    assert post(client, "/items", item_id="[object Object]")[0] == 400
    assert dict(export(shop.warehouse, "ada"))["user_merges"] == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"guest_id": "s1"}, "'s1' is not merged into an account. `alsobought export ACCOUNT` lists"),
        ({"guest_id": "ada"}, "'ada' is not merged into an account"),
        ({"guest_id": "undefined"}, "'undefined' is not merged into an account"),
        ({"guest_id": ""}, "guest_id: expected `str` of length >= 1"),
        ({"guest_id": "a\0"}, "guest_id: holds a NUL character"),
        ({"guest_id": "s0", "user_id": "ada"}, "user_id: not a field of this object"),
        ({}, "guest_id: missing. Send {"),
    ],
)
def test_an_invalid_unmerge_is_rejected_with_a_hint(shop: Service, body: object, message: str) -> None:
    got = create_app(shop).test_client().post("/users/unmerge", json=body)
    assert got.status_code == 400
    assert message in f"{error_of(got)['message']}. {error_of(got)['hint']}"


def test_a_merge_can_be_undone_for_as_many_days_as_the_setting_says(make_shop: Callable[..., Service]) -> None:
    now = NOON
    shop = make_shop(lambda: now, unmerge_days=3)
    for guest in ("s1", "s2"):
        shop.do("merge", guest, "ada")
    now = NOON + timedelta(days=2)
    shop.do("merge", "s2", "ada")  # as at every login: counts from the first time
    now = NOON + timedelta(days=3)
    assert shop.do("unmerge", "s1") == {"user_id": "ada", "events": 0}
    now = NOON + timedelta(days=3, seconds=1)
    with pytest.raises(
        BadRequest, match=r"'s2' was merged into 'ada' on 2026-01-01, more than 3 days ago\. ALSOBOUGHT_UNMERGE"
    ):
        shop.do("unmerge", "s2")


def test_a_merge_by_an_older_version_cannot_be_undone(shop: Service) -> None:
    columns, row = "(guest_id, user_id, merged_at)", "('s1', 'ada', '2026-01-01 11:00:00')"
    shop.warehouse.command(f"insert into {shop.settings.database}.user_merges {columns} values {row}")
    shop.writer.identities.refresh()
    shop.do("merge", "s1", "ada")
    with pytest.raises(
        BadRequest, match=r"'s1' was merged into 'ada' by an older version: that cannot be undone\. Which"
    ):
        shop.do("unmerge", "s1")


@pytest.mark.thorough
@pytest.mark.journey
def test_an_unmerged_account_takes_along_a_guest_from_an_older_version(shop: Service) -> None:
    columns, row = "(guest_id, user_id, merged_at)", "('s1', 'ada', '2026-01-01 11:00:00')"
    shop.warehouse.command(f"insert into {shop.settings.database}.user_merges {columns} values {row}")
    shop.writer.identities.refresh()
    send(shop, {"user_id": "ada", "item_id": "tea"})
    shop.do("merge", "ada", "bruno")
    send(shop, {"session_id": "s1", "item_id": "mug"})
    with pytest.raises(BadRequest, match="older version"):
        shop.do("unmerge", "s1")
    assert shop.do("unmerge", "ada")["events"] == 2, "and takes its old guest along"
    send(shop, {"session_id": "s1", "item_id": "pot"})
    assert stored(shop, WHOSE) == [["tea", "ada", ""], ["mug", "ada", "s1"], ["pot", "ada", "s1"]]


def _chain(shop: Service) -> None:
    """s1 in ada in bruno, each with an event from before; then one more of each."""
    send(shop, *({"user_id": user, "item_id": f"{user}-1"} for user in ("s1", "ada", "bruno")))
    shop.do("merge", "s1", "ada")
    shop.do("merge", "ada", "bruno")
    send(shop, *({"user_id": user, "item_id": f"{user}-2"} for user in ("s1", "ada", "bruno")))
    assert set(stored(shop, "user_id")) == {"bruno"}


def _whose(shop: Service) -> dict[str, list[str]]:
    rows = stored(shop, "user_id, item_id")
    return {user: [item for of, item in rows if of == user] for user in sorted({of for of, _ in rows})}


@pytest.mark.thorough
def test_an_account_that_is_unmerged_takes_its_guests_along(shop: Service) -> None:
    _chain(shop)
    assert shop.do("unmerge", "ada") == {"user_id": "bruno", "events": 4}
    assert _whose(shop) == {"ada": ["s1-1", "ada-1", "s1-2", "ada-2"], "bruno": ["bruno-1", "bruno-2"]}
    send(shop, *({"user_id": user, "item_id": f"{user}-3"} for user in ("s1", "ada", "bruno")))
    assert _whose(shop)["ada"][4:] == ["s1-3", "ada-3"], "s1 is still ada's"
    assert wrong_tables(shop) == {}


@pytest.mark.thorough
@pytest.mark.journey
def test_a_guest_is_unmerged_alone_wherever_its_account_went(shop: Service) -> None:
    _chain(shop)
    assert shop.do("unmerge", "s1") == {"user_id": "bruno", "events": 2}
    assert shop.do("unmerge", "ada") == {"user_id": "bruno", "events": 2}
    assert _whose(shop) == {"ada": ["ada-1", "ada-2"], "bruno": ["bruno-1", "bruno-2"], "s1": ["s1-1", "s1-2"]}
    assert wrong_tables(shop) == {}


@pytest.mark.journey
def test_a_guest_of_a_merged_account_goes_with_the_account_that_its_merge_named(shop: Service) -> None:
    send(shop, {"user_id": "s1", "item_id": "tea"})
    shop.do("merge", "ada", "bruno")
    assert shop.do("merge", "s1", "ada") == {"user_id": "bruno", "events": 1}
    assert shop.do("unmerge", "ada") == {"user_id": "bruno", "events": 1}
    assert _whose(shop) == {"ada": ["tea"]}


def test_the_guests_of_a_user_are_found_through_others() -> None:
    pairs = {"s1": "ada", "ada": "bruno", "s2": "bruno", "s3": "s1"}
    merges = {guest: Merge(guest, into, NOON) for guest, into in pairs.items()}
    assert with_guests("ada", merges) == ["ada", "s1", "s3"]
    assert with_guests("s2", merges) == ["s2"]


@pytest.mark.thorough
@pytest.mark.journey
def test_a_guest_may_be_merged_again_into_the_same_account_or_another(shop: Service) -> None:
    send(shop, {"session_id": "s1", "item_id": "tea"}, {"session_id": "s2", "item_id": "mug"})
    for guest in ("s1", "s2"):
        shop.do("merge", guest, "ada")
    with pytest.raises(
        BadRequest, match=r"'s1' was merged into 'ada'.*if not, unmerge 's1' first \(POST /users/unmerge\)"
    ):
        shop.do("merge", "s1", "bruno")
    for account in ("ada", "bruno"):
        shop.do("unmerge", "s1")
        assert shop.do("merge", "s1", account)["events"] == 1
        assert stored(shop, WHOSE) == [["tea", account, "s1"], ["mug", "ada", "s2"]]
    assert wrong_tables(shop) == {}


@pytest.mark.thorough
@pytest.mark.journey
def test_of_an_unmerged_guest_and_its_account_either_is_erased_alone(shop: Service) -> None:
    for forgotten, kept in (("ada", "s1"), ("bruno", "s2")):
        guest = "s1" if forgotten == "ada" else forgotten
        account = "ada" if forgotten == "ada" else kept
        send(shop, *({"user_id": user, "item_id": "tea"} for user in (guest, account)))
        shop.do("merge", guest, account)
        shop.do("unmerge", guest)
        assert shop.do("forget", forgotten)["tables"][0]["rows_before"] == 1
        send(shop, *({"user_id": user, "item_id": "mug"} for user in (guest, account)))
        assert _whose(shop)[kept] == ["tea", "mug"]
        assert forgotten not in _whose(shop)
    assert wrong_tables(shop) == {}


@pytest.mark.journey
def test_a_forgotten_account_takes_its_guests_along_for_good(shop: Service) -> None:
    send(shop, {"session_id": "s1", "item_id": "tea"})
    shop.do("merge", "s1", "ada")
    shop.do("forget", "ada")
    with pytest.raises(BadRequest, match="'s1' is not merged into an account"):
        shop.do("unmerge", "s1")
    assert stored(shop) == []


@pytest.mark.journey
def test_requests_of_a_guest_are_exported_and_erased_with_its_account(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(utc_now, record_requests=True)
    client = create_app(shop).test_client()
    client.get("/pipes/recently_viewed?user_id=s1")
    shop.do("merge", "s1", "ada")
    assert shop.request_log
    shop.request_log.flush()
    assert [row["pipe"] for row in dict(export(shop.warehouse, "ada"))["requests"]] == ["recently_viewed"]
    shop.do("forget", "ada")
    assert not any(dict(export(shop.warehouse, "s1")).values())


@pytest.mark.thorough
def test_what_has_expired_stays_the_accounts_and_all_else_is_the_guests_again(
    make_shop: Callable[..., Service],
) -> None:
    now = utc_now() - timedelta(days=20)
    shop = make_shop(lambda: now, event_retention_days=10)
    bought = {"event_type": "purchase", "order_id": "o1"}

    def events(user: str, *items: str) -> None:
        send(
            shop, *({**bought, "user_id": user, "item_id": item, "category": "Tea", "timestamp": now} for item in items)
        )

    events("ada", "old", "tea")
    early = now
    now = utc_now()
    events("ada", "tea", "own")
    events("s1", "tea", "gift", "own")
    shop.do("merge", "s1", "ada")
    database = shop.settings.database
    expired = f"timestamp < toDateTime64({early.timestamp() + 60}, 3)"
    shop.warehouse.command(f"alter table {database}.events delete where {expired} settings mutations_sync = 2")
    undone = shop.do("unmerge", "s1")
    assert (undone["events"], "have expired" in undone["not_moved"]) == (3, True)
    counted = tables(shop.warehouse)
    times = {(user, item): value[0] for (user, item, _), value in counted["user_items"].items()}
    assert times == {
        ("ada", "old"): 1,
        ("ada", "tea"): 2,
        ("ada", "own"): 1,
        ("s1", "tea"): 1,
        ("s1", "gift"): 1,
        ("s1", "own"): 1,
    }
    assert counted["user_items"]["ada", "own", "purchase"][2] == counted["user_items"]["ada", "own", "purchase"][1]
    categories = {(user, category): times for (user, category, _), times in counted["user_categories"].items()}
    assert categories == {("ada", "Tea"): 4, ("s1", "Tea"): 3}
    pairs = {tuple(sorted(key[:2])): value[0] for key, value in counted["co_baskets"].items()}
    assert pairs == {("old", "tea"): 1, ("old", "own"): 1, ("own", "tea"): 2, ("gift", "tea"): 1, ("gift", "own"): 1}
    assert check(shop.warehouse.another(), shop.do, CHECKS).wrong == []


STEPS = [
    pytest.param(step, marks=() if step == "moved" else pytest.mark.thorough)
    for step in ("noted", "user_items", "order_items", "item_totals", "moved", "deleted")
]


@pytest.mark.parametrize("task", ["merge", "unmerge"])
@pytest.mark.parametrize("step", STEPS)
def test_what_a_crash_interrupts_the_next_start_finishes(
    shop: Service, monkeypatch: pytest.MonkeyPatch, task: str, step: str
) -> None:
    """Orders of both that have nothing in common: merged or not, their pairs are the same, so nothing is inserted for them."""
    for user in ("s1", "ada"):
        lines = (
            {"event_type": "purchase", "user_id": user, "order_id": user, "item_id": item} for item in ("tea", "mug")
        )
        send(shop, *lines, {"user_id": user, "item_id": "tea"})
    if task == "unmerge":
        shop.do("merge", "s1", "ada")

    def reach(point: str) -> None:
        if point == f"rewrite.{step}":
            raise OSError(point)

    with monkeypatch.context() as crashing:
        crashing.setattr(user_rewrite, "reach", reach)
        with pytest.raises(OSError, match=step):
            shop.do(task, *(["s1", "ada"] if task == "merge" else ["s1"]))
    shop.writer.stop()
    restarted = replace(shop, writer=Writer(shop.warehouse, shop.settings, shop.clock))
    restarted.writers[0].lease.dirty = True
    restarted.writer.start()
    expected = {"merge": {"ada": 6}, "unmerge": {"ada": 3, "s1": 3}}[task]
    assert {user: len(items) for user, items in _whose(shop).items()} == expected
    assert wrong_tables(shop) == {}
    pairs = {tuple(sorted(key[:2])): value[0] for key, value in tables(shop.warehouse)["co_baskets"].items()}
    assert pairs == {("mug", "tea"): 2}
    restarted.writer.stop()
