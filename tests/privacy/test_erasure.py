"""Erasure and merges: afterwards every table is as if the user had never existed, or had always
been the other user.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from alsobought.authoring.pipe_tests import clear_service
from alsobought.counts.consistency import check
from alsobought.counts.sum_checks import wrong_rows
from alsobought.errors import BadRequest, Unusable
from alsobought.events import Event
from alsobought.privacy.erasure import Receipt, Verification, verify
from alsobought.privacy.export import export
from alsobought.service.service import Service
from alsobought.storage.retention import MARGIN, apply_retention, horizon
from alsobought.web.factory import create_app
from alsobought.writer.recovery import recover
from alsobought.writer.submission import Submission, utc_now
from alsobought.writer.writer import Writer
from tests.counts.test_invariant import CHECKS, START, _checked, _happened, apply_refunds, events, rebuilt, right
from tests.support.engines import Engine, drop
from tests.support.fold import fold, tables
from tests.support.project import ROOT
from tests.support.refunds import without_refunded
from tests.support.web import AWKWARD, VIEW, error_of, stored, wrong_tables

pytestmark = pytest.mark.usefixtures("known_ids")

USERS = ("ada", "bruno", "cleo")
FORGOTTEN_AT = START + timedelta(minutes=150)


@pytest.fixture(scope="module")
def emptied(on: Engine) -> Iterator[Callable[[], Service]]:
    shop = on.shop("users", clock=lambda: FORGOTTEN_AT)
    shop.writer.stop()  # each example has its own

    def emptied() -> Service:
        clear_service(shop)
        return shop

    yield emptied
    drop(shop)


steps = st.lists(
    st.one_of(
        st.lists(events, min_size=1, max_size=12),
        st.sampled_from(
            [("forget", "ada"), ("forget", "bruno"), ("merge", "ada", "bruno"), ("again",), ("restart",), ("replay",)]
        ),
        st.sampled_from(
            [
                ("merge", "ada", "bruno"),
                ("merge", "bruno", "cleo"),
                ("unmerge", "ada"),
                ("unmerge", "bruno"),
                ("forget", "cleo"),
            ]
        ),
        st.sampled_from(
            [("optimize",), ("rebuild", "co_baskets"), ("rebuild", "item_totals"), ("rebuild", "order_items")]
        ),
    ),
    min_size=2,
    max_size=7,
)


@pytest.mark.thorough
@pytest.mark.journey
@given(steps=steps)
@settings(
    max_examples=int(os.environ.get("EXAMPLES", "4")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each example takes seconds
)
def test_after_every_step_every_table_has_the_remaining_users_under_their_current_names(  # noqa: PLR0912 - a case each
    emptied: Callable[[], Service], steps: list[list[Event] | tuple[str, ...]]
) -> None:
    """`expected` are the events that should be stored, in the order of arrival, each of the user it came for; `merged` has the user
    that each merged one was merged into.
    """
    shop = _restarted(emptied())
    numbers = itertools.count()
    expected: list[Event] = []
    sent: list[Event] = []
    merged: dict[str, str] = {}
    forgotten: set[str] = set()
    for step in steps:
        match step:
            case list():
                sent = [msgspec.structs.replace(event, event_id=f"n{next(numbers)}") for event in step]
                expected += _stored(shop, sent, expected, forgotten)
            case ("again",):
                expected += _stored(shop, sent, expected, forgotten)
            case ("forget", str(user)) if user in merged:
                with pytest.raises(Unusable, match="was merged into"):
                    shop.do("forget", user)
            case ("forget", str(user)):
                shop.do("forget", user)
                expected = [event for event in expected if _account(event.user_id, merged) != user]
                gone = {guest for guest in (*USERS, user) if _account(guest, merged) == user}
                forgotten |= gone
                merged = {guest: into for guest, into in merged.items() if guest not in gone}
            case ("merge", str(guest), str(user)):
                shop.do("merge", guest, user)
                merged[guest] = user
            case ("unmerge", str(guest)) if guest not in merged:
                with pytest.raises(BadRequest, match="is not merged into an account"):
                    shop.do("unmerge", guest)
            case ("unmerge", str(guest)):
                shop.do("unmerge", guest)
                del merged[guest]
            case ("restart",):
                shop = _restarted(shop)
            case ("replay",):
                recover(shop.warehouse)
            case ("rebuild", str(table)):
                rebuilt(shop, table)
            case ("optimize",):
                for table in _checked():
                    shop.warehouse.command(f"optimize table {shop.settings.database}.{table} final")
        apply_refunds(shop.writers[0])
        current = [_of_account(event, merged) for event in expected]
        assert tables(shop.warehouse) == fold([_happened(event) for event in without_refunded(current)])
        assert dict(wrong_rows(shop.warehouse, CHECKS)) == right()
    shop.writer.stop()


def _restarted(shop: Service) -> Service:
    shop.writer.stop()
    shop = replace(shop, writer=Writer(shop.warehouse, shop.settings, shop.clock))
    shop.writer.start()
    return shop


def _stored(shop: Service, sent: list[Event], expected: list[Event], forgotten: Set[str]) -> list[Event]:
    """Sends these events and returns those that should be new."""
    if sent:
        shop.writer.submit(Submission(sent)).result()
    stored_ids = {event.event_id for event in expected}
    late = [event for event in sent if event.user_id in forgotten and _time(event) <= FORGOTTEN_AT]
    return [event for event in sent if event.event_id not in stored_ids and event not in late]


def _account(user: str, merged: Mapping[str, str]) -> str:
    while user in merged:
        user = merged[user]
    return user


def _of_account(event: Event, merged: Mapping[str, str]) -> Event:
    return msgspec.structs.replace(event, user_id=_account(event.user_id, merged))


def _time(event: Event) -> datetime:
    assert isinstance(event.timestamp, datetime)
    return event.timestamp


def test_past_and_future_events_of_a_merged_guest_are_the_accounts(shop: Service) -> None:
    client = create_app(shop).test_client()
    seen = {"event_type": "view", "session_id": "s9"}
    client.post("/events?wait=true", json=[{**seen, "item_id": "tea"}, {**VIEW, "user_id": "ada", "item_id": "mug"}])
    assert shown(client, "ada") == ["mug"]
    got = client.post("/users/merge", json={"guest_id": "s9", "user_id": "ada"})
    body = json.loads(got.text)
    assert (got.status_code, body["user_id"], body["events"]) == (200, "ada", 1)
    assert set(shown(client, "ada")) == {"mug", "tea"}, "no cached answer from before"
    client.post("/events?wait=true", json={**seen, "item_id": "pot"})
    assert set(stored(shop, "user_id")) == {"ada"}
    assert set(shown(client, "ada")) == {"mug", "tea", "pot"}
    again = client.post("/users/merge", json={"guest_id": "s9", "user_id": "ada"})
    assert (again.status_code, json.loads(again.text)["events"]) == (200, 0)
    assert wrong_tables(shop) == {}


def shown(client: FlaskClient, user: str) -> list[str]:
    reply = client.get(f"/pipes/recently_viewed?user_id={user}").json
    assert reply
    return [row["item_id"] for row in reply["data"]]


def test_a_merged_account_takes_its_guests_along_and_is_erased_with_them(shop: Service) -> None:
    send(shop, *({**VIEW, "user_id": user} for user in ("s1", "old", "new")))
    shop.do("merge", "s1", "old")
    shop.do("merge", "old", "new")
    send(shop, {**VIEW, "user_id": "s1"}, {**VIEW, "user_id": "old"})
    assert stored(shop, "user_id") == ["new"] * 5
    assert shop.do("merge", "s2", "old")["user_id"] == "new"
    shop.do("forget", "new")
    send(shop, *({**VIEW, "user_id": user, "timestamp": BEFORE} for user in ("s1", "s2", "old", "new")))
    assert stored(shop, "user_id") == []
    assert wrong_tables(shop) == {}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"guest_id": "s1", "user_id": "s1"}, "'s1' is 's1'. Name a guest and another user"),
        ({"guest_id": "ada", "user_id": "s0"}, "'s0' was merged into 'ada'"),
        (
            {"guest_id": "s0", "user_id": "bruno"},
            "'ada'. Merge that account if it is the same user; if not, unmerge 's0' first (POST /users/unmerge)",
        ),
        ({"guest_id": "", "user_id": "ada"}, "guest_id: expected `str` of length >= 1"),
        ({"guest_id": "s" * 257, "user_id": "ada"}, "guest_id: expected `str` of length <= 256"),
        ({"guest_id": "a\0", "user_id": "ada"}, "guest_id: holds a NUL character"),
        ({"guest_id": "s1"}, "user_id: missing. Send {"),
        ({"guest_id": "s1", "user_id": 5}, "user_id: expected `str`, got `int`"),
        ({"guest_id": "s1", "user_id": "ada", "usr": 5}, "usr: not a field of this object. Send"),
        ([], "expected `object`, got `array`"),
    ],
)
def test_an_invalid_merge_is_rejected_with_a_hint(shop: Service, body: object, message: str) -> None:
    shop.do("merge", "s0", "ada")
    got = create_app(shop).test_client().post("/users/merge", json=body)
    assert got.status_code == 400
    error = error_of(got)
    assert message in f"{error['message']}. {error['hint']}"


@pytest.mark.thorough
def test_awkward_names_are_erased_and_merged_like_all_others(shop: Service) -> None:
    names = [AWKWARD, "' or 1 = 1 --", "{user:String}", "\\", "5"]
    send(shop, *({**VIEW, "user_id": name} for name in [*names, "ada"]))
    for name in names[:3]:
        assert shop.do("forget", name)["tables"][0]["rows_before"] == 1
    for name in names[3:]:
        assert shop.do("merge", name, AWKWARD)["events"] == 1
    assert sorted(set(stored(shop, "user_id"))) == sorted([AWKWARD, "ada"])
    assert wrong_tables(shop) == {}


def test_a_receipt_lists_deleted_rows_and_can_be_verified(shop: Service) -> None:
    send(shop, *({**VIEW, "user_id": user, "item_id": item} for user in ("ada", "bruno") for item in ("tea", "mug")))
    receipt = msgspec.convert(shop.do("forget", "ada"), Receipt)
    rows = {part.table: (part.rows_before, part.rows_after) for part in receipt.tables}
    assert rows["events"] == (2, 0)
    assert rows["user_items"] == (2, 0)
    assert rows["item_hours"] == (2, 0)
    assert "ada" not in msgspec.json.encode(receipt).decode()
    assert verify(shop.warehouse, receipt, ROOT) == Verification(True, True, {**dict.fromkeys(NAMING, 0)}, 0)
    changed = msgspec.structs.replace(receipt, forgotten_at="2026-01-01T13:00:00.000000Z")
    assert not verify(shop.warehouse, changed, ROOT).sealed
    send(shop, {**VIEW, "user_id": "ada", "timestamp": BEFORE})
    assert verify(shop.warehouse, receipt, ROOT).since == 0
    send(shop, {**VIEW, "user_id": "ada", "timestamp": AFTER})
    assert verify(shop.warehouse, receipt, ROOT) == Verification(True, True, {**dict.fromkeys(NAMING, 0)}, 1)
    shop.warehouse.command(f"insert into {shop.settings.database}.user_items (user_id, item_id) values ('ada', 'pot')")
    assert verify(shop.warehouse, receipt, ROOT).remaining["user_items"] == 1


def test_an_erased_user_is_in_no_recorded_request_and_no_dead_letter(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(utc_now, record_requests=True)  # old requests expire
    client = create_app(shop).test_client()
    for user in ("5", "ada"):
        client.get(f"/pipes/recently_viewed?user_id={user}")
        client.get(f"/pipes/also_bought?item_id={user}")
    assert shop.request_log
    shop.request_log.flush()
    drawn = {"time": utc_now(), "pipe": "also_bought", "parameters": '{"item_id":["pot"]}', "unit": "5"}
    shop.warehouse.insert("requests", msgspec.json.encode(drawn))
    letter = {"source": "k", "topic": "events", "partition": 0, "reason": "r", "encoding": "utf-8", "noted_at": 0}
    bodies = ['{"user_id": "5"}', '{"user_id": "ada", "item_id": "5"}', '{"userId":"5"}', "5"]
    bodies += ['{"batch": [{"userId": "ada"}, {"anonymousId": 5}]}', '{"client_id": "5", "events": []}']
    bodies += ['{"detail": {"domain_userid": "5"}}', '{"batch": [{"userId": "ada"}]}']
    lines = [msgspec.json.encode({**letter, "offset": n, "body": body}) for n, body in enumerate(bodies)]
    shop.warehouse.insert("dead_letters", b"\n".join(lines))
    shop.do("forget", "5")
    shop.request_log.flush()
    database = shop.settings.database
    asked = shop.warehouse.trusted_rows(f"select parameters from {database}.requests order by all").data
    assert [row[0] for row in asked] == ['{"item_id":["5"]}', '{"item_id":["ada"]}', '{"user_id":["ada"]}']
    left = shop.warehouse.trusted_rows(f"select offset from {database}.dead_letters final order by all").data
    assert left == [[1], [3], [7]]


def test_an_export_has_everything_stored_about_one_user(shop: Service) -> None:
    send(shop, {**VIEW, "user_id": "ada", "category": "Tea"}, {**VIEW, "user_id": "s1"}, {**VIEW, "user_id": "bruno"})
    shop.do("merge", "s1", "ada")
    exported = dict(export(shop.warehouse, "ada"))
    assert [row["user_id"] for row in exported["events"]] == ["ada", "ada"]
    assert [row["events"] for row in exported["user_items"]] == [2]
    assert sorted((row["category"], row["events"]) for row in exported["user_categories"]) == [("", 1), ("Tea", 1)]
    assert exported["user_merges"] == [{"guest_id": "s1"}]
    assert not any(dict(export(shop.warehouse, "nobody")).values())


def test_recovery_after_an_erasure_stores_no_older_batch_again(shop: Service) -> None:
    send(shop, {**VIEW, "user_id": "ada"}, {**VIEW, "user_id": "bruno"})
    shop.do("forget", "ada")
    recover(shop.warehouse)
    assert stored(shop, "user_id") == ["bruno"]
    assert wrong_tables(shop) == {}


def test_events_of_an_erased_user_without_a_zone_are_in_utc(shop: Service) -> None:
    shop.do("forget", "ada")
    send(shop, *({**VIEW, "user_id": "ada", "timestamp": f"2026-01-01T{time}:00"} for time in ("11:59", "12:01")))
    assert stored(shop, "toString(timestamp)") == ["2026-01-01 12:01:00.000"]


@pytest.mark.thorough
def test_after_expiry_the_remaining_events_are_erased_exactly(make_shop: Callable[..., Service]) -> None:
    """An order of three lines, of which the first has expired: its pairs were counted, and the
    history has its first line.
    """
    now = utc_now() - timedelta(days=20)
    shop = make_shop(lambda: now, event_retention_days=10)
    bought = {"event_type": "purchase", "order_id": "o1", "timestamp": now}
    for user in ("ada", "bruno"):
        send(shop, *({**bought, "user_id": user, "item_id": item} for item in ("tea", "mug")))
    now = utc_now()
    for user in ("ada", "bruno"):
        send(shop, {**bought, "user_id": user, "item_id": "pot"})
    database = shop.settings.database
    shop.warehouse.command(f"alter table {database}.events delete where item_id != 'pot' settings mutations_sync = 2")
    assert "expired" in shop.do("forget", "ada")["not_seen"]
    pairs = {tuple(sorted(key[:2])): value[0] for key, value in tables(shop.warehouse)["co_baskets"].items()}
    assert pairs == {("mug", "tea"): 2, ("pot", "tea"): 1, ("mug", "pot"): 1}, (
        "what ada bought since is gone, and only that"
    )
    assert {key[0] for key in tables(shop.warehouse)["user_items"]} == {"bruno"}
    assert check(shop.warehouse.another(), shop.do, CHECKS).wrong == []
    shop.do("merge", "bruno", "cleo")
    again = {tuple(sorted(key[:2])): value[0] for key, value in tables(shop.warehouse)["co_baskets"].items()}
    assert again.keys() <= pairs.keys()
    assert check(shop.warehouse.another(), shop.do, CHECKS).wrong == []
    assert {key[0] for key in tables(shop.warehouse)["user_items"]} == {"cleo"}


def test_the_horizon_remembers_what_an_earlier_retention_setting_deleted(
    make_shop: Callable[..., Service],
) -> None:
    def made(shop: Service) -> str:
        sql = "select create_table_query from system.tables where database = {database:String} and name = 'events'"
        return str(shop.warehouse.trusted_rows(sql, {"database": shop.settings.database}).data[0][0])

    shop = make_shop(lambda: START, event_retention_days=10)
    assert "TTL toDateTime(intDiv(seq, 1000000)) + toIntervalDay(10)" in made(shop)
    assert horizon(shop.warehouse, shop.settings, START) == micros(START - timedelta(days=10) + MARGIN)
    now = START + timedelta(days=3)
    settings = msgspec.structs.replace(shop.settings, event_retention_days=0)
    assert apply_retention(shop.warehouse, settings, now, shop.writers[0].take_seq())
    assert "TTL" not in made(shop)
    assert horizon(shop.warehouse, settings, now + timedelta(days=90)) == micros(now - timedelta(days=10) + MARGIN)


def micros(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)


def send(shop: Service, *events: Mapping[str, object]) -> None:
    rows = [msgspec.convert({"timestamp": BEFORE, **event}, Event) for event in events]
    shop.writer.submit(Submission(rows)).result()


BEFORE, AFTER = "2026-01-01T11:00:00Z", "2026-01-01T12:30:00Z"
NAMING = ["events", "users", "user_items", "item_users", "user_categories", "user_days", "touches", "user_history"]
