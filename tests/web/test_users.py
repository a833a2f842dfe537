"""Attributes of users over HTTP: posts, identify calls, merges, erasure, and segments in pipes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from alsobought.diagnostics.data_checks import check_user_attributes
from alsobought.privacy.erasure import Receipt, verify
from alsobought.privacy.export import export
from alsobought.service.service import Service
from alsobought.users import User
from alsobought.writer.submission import Submission
from tests.conftest import NOON
from tests.support.project import ROOT
from tests.support.web import VIEW, emptied, error_of, rejected, stored


@pytest.fixture(scope="module")
def clock() -> list[Any]:
    return [NOON]


@pytest.fixture(scope="module")
def filled(make_shared_shop: Callable[..., Service], clock: list[Any]) -> Service:
    return make_shared_shop(clock=lambda: clock[0])


@pytest.fixture
def shop(filled: Service, clock: list[Any]) -> Service:
    """The shop of this module, emptied, with a clock that a test can set."""
    clock[0] = NOON
    return emptied(filled)


def attributes(client: FlaskClient, user: str) -> Any:
    got = client.get(f"/users/{user}")
    return json.loads(got.text)["attributes"] if got.status_code == 200 else error_of(got)["code"]


def set_attributes(client: FlaskClient, user: str, **attributes: Any) -> None:
    assert client.post("/users", json={"user_id": user, "attributes": attributes}).status_code in (200, 202)


def test_a_post_changes_the_attributes_it_names_and_replace_the_others(client: FlaskClient, shop: Service) -> None:
    body = {"region": "Bavaria", "age": 34, "vip": True, "zip": "01234", "segments": ["a"], "none": None}
    got = client.post("/users?wait=true", json={"user_id": "ada", "attributes": body})
    assert (got.status_code, json.loads(got.text)["accepted"]) == (200, 1)
    body.pop("none")
    assert attributes(client, "ada") == body
    set_attributes(client, "ada", age=35, vip=None)
    assert attributes(client, "ada") == {"region": "Bavaria", "zip": "01234", "segments": ["a"], "age": 35}
    client.post("/users?replace=true", json=[{"user_id": "ada", "attributes": {"plan": "pro"}}])
    assert attributes(client, "ada") == {"plan": "pro"}
    assert client.delete("/users/ada").status_code in (200, 202)
    assert attributes(client, "ada") == "no_such_user"
    assert client.delete("/users/nobody").status_code in (200, 202), "idempotent"
    assert client.get("/users/" + "x" * 300).status_code == 404


def test_valid_users_are_stored_beside_rejected_ones(client: FlaskClient, shop: Service) -> None:
    users = [{"user_id": "ada", "attributes": {"plan": "pro"}}, {"user_id": "null"}, {"user_id": "b", "x": 1}]
    got = client.post("/users", json=users)
    assert [index for index, _ in rejected(got)] == [1, 2]
    assert attributes(client, "ada") == {"plan": "pro"}
    nothing = client.post("/users", json=users[1:])
    assert (nothing.status_code, error_of(nothing)["code"]) == (400, "bad_users")
    assert 'alsobought_rows_total{kind="user",outcome="stored"} ' in client.get("/metrics").text


def test_what_is_sent_again_makes_no_new_row(client: FlaskClient, shop: Service) -> None:
    for plan in ("pro", "pro", "free"):
        set_attributes(client, "ada", plan=plan)
    versions = shop.warehouse.trusted_rows(f"select uniqExact(version) from {shop.warehouse.database}.users").data
    assert versions[0][0] <= 2


def test_identify_stores_listed_traits_of_users_and_guests(client: FlaskClient, shop: Service) -> None:
    traits = {
        "email": "ada@example.com",
        "plan": "pro",
        "age": 34,
        "region": "Bavaria",
        "language": None,
        "address": {"city": "Ulm"},
        "segments": ["vip", "b2b"],
    }
    expected = {"plan": "pro", "age": 34, "region": "Bavaria", "segments": ["vip", "b2b"]}
    set_attributes(client, "ada", language="de")
    call = {"type": "identify", "userId": "ada", "traits": traits}
    got = json.loads(client.post("/events/segment", json=call).text)
    assert (got["accepted"], got["skipped"], got["users"]) == (0, 0, 1)
    assert attributes(client, "ada") == expected, "null clears"
    assert "example.com" not in str(dict(export(shop.warehouse, "ada")))
    rudder = {"type": "identify", "anonymousId": "device-7", "context": {"traits": {"plan": "free"}}}
    only_personal = {"type": "identify", "userId": "cleo", "traits": {"email": "c@example.com"}}
    nobody = {"type": "identify", "userId": "undefined", "traits": {"plan": "x"}}
    got = json.loads(client.post("/events/segment", json={"batch": [rudder, only_personal, nobody]}).text)
    assert (got["skipped"], got["users"], got["rejected"]) == (2, 1, [])
    assert attributes(client, "device-7") == {"plan": "free"}
    assert [attributes(client, user) for user in ("cleo", "undefined")] == ["no_such_user"] * 2


def test_whoever_posts_events_changes_no_users(client: FlaskClient, shop: Service) -> None:
    call = {"type": "identify", "userId": "ada", "traits": {"plan": "pro"}}
    assert json.loads(client.post("/events", json=[call, VIEW]).text)["skipped"] == 1
    assert attributes(client, "ada") == "no_such_user"


def test_a_merge_carries_attributes_and_an_unmerge_undoes_it(client: FlaskClient, shop: Service) -> None:
    set_attributes(client, "device-7", plan="free", region="Bavaria")
    set_attributes(client, "ada", plan="pro")
    client.post("/users/merge", json={"guest_id": "device-7", "user_id": "ada"})
    both = {"plan": "pro", "region": "Bavaria"}
    assert (attributes(client, "ada"), attributes(client, "device-7")) == (both, both)
    set_attributes(client, "device-7", language="de")
    assert attributes(client, "ada") == {**both, "language": "de"}, "a merged guest is the account"
    client.post("/users/unmerge", json={"guest_id": "device-7"})
    assert attributes(client, "ada") == {"plan": "pro", "language": "de"}
    assert attributes(client, "device-7") == {"plan": "free", "region": "Bavaria"}


def test_each_of_several_merges_is_undone_alone(client: FlaskClient, shop: Service) -> None:
    for number, user in enumerate(("s1", "s2", "s3", "ada")):
        set_attributes(client, user, **{f"a{number}": number, "own": user})
    for guest, account in (("s1", "s2"), ("s2", "s3"), ("s3", "ada")):
        assert client.post("/users/merge", json={"guest_id": guest, "user_id": account}).status_code == 200
    assert attributes(client, "ada") == {"a0": 0, "a1": 1, "a2": 2, "a3": 3, "own": "ada"}
    assert client.post("/users/unmerge", json={"guest_id": "s1"}).status_code == 200
    assert attributes(client, "s1") == {"a0": 0, "own": "s1"}
    assert client.post("/users/unmerge", json={"guest_id": "s3"}).status_code == 200
    assert attributes(client, "ada") == {"a3": 3, "own": "ada"}
    assert attributes(client, "s3") == {"a1": 1, "a2": 2, "own": "s3"}
    assert client.post("/users/unmerge", json={"guest_id": "s2"}).status_code == 200
    assert [attributes(client, user) for user in ("s2", "s3")] == [{"a1": 1, "own": "s2"}, {"a2": 2, "own": "s3"}]


def test_a_forgotten_user_has_no_attributes_and_late_ones_are_dropped(
    client: FlaskClient, shop: Service, clock: list[Any]
) -> None:
    set_attributes(client, "device-7", region="Bavaria")
    set_attributes(client, "ada", plan="pro")
    client.post("/users/merge", json={"guest_id": "device-7", "user_id": "ada"})
    assert [row["attributes"] for row in dict(export(shop.warehouse, "ada"))["users"]] == [
        {"region": "Bavaria", "plan": "pro"},
        {"region": "Bavaria"},
    ]
    receipt = msgspec.convert(shop.do("forget", "ada"), Receipt)
    assert [part.rows_before for part in receipt.tables if part.table == "users"] == [2]
    assert verify(shop.warehouse, receipt, ROOT).remaining["users"] == 0
    assert shop.warehouse.trusted_rows(f"select count() from {shop.warehouse.database}.users").data == [[0]]
    clock[0] = NOON + timedelta(hours=1)
    late = {"type": "identify", "userId": "ada", "timestamp": "2026-01-01T11:59:00Z", "traits": {"plan": "pro"}}
    for call in (late, {**late, "userId": "device-7"}):
        assert client.post("/events/segment", json=call).status_code == 200
    late_post = {"user_id": "ada", "timestamp": "2026-01-01T11:00:00Z", "attributes": {"plan": "pro"}}
    assert json.loads(client.post("/users", json=late_post).text)["duplicates"] == 1
    sent_at = Submission([User(user_id="ada", attributes={"plan": "pro"})], sent_at=lambda: [NOON])
    assert shop.writer.submit(sent_at).result(30).rows == 0
    assert [attributes(client, user) for user in ("ada", "device-7")] == ["no_such_user"] * 2
    set_attributes(client, "ada", plan="free")
    assert attributes(client, "ada") == {"plan": "free"}, "who returns begins anew"
    verification = verify(shop.warehouse, receipt, ROOT)
    assert verification.remaining["users"] == 0


def buy(client: FlaskClient, user: str, *items: str) -> None:
    events = [{"event_type": "purchase", "user_id": user, "item_id": item} for item in items]
    assert client.post("/events?wait=true", json=events).status_code == 200


def listed(client: FlaskClient, pipe: str, query: str) -> list[tuple[str, str]]:
    body = json.loads(client.get(f"/pipes/{pipe}?{query}").text)
    return [(row["item_id"], row["source"]) for row in body["data"]]


def test_a_segment_of_nobody_is_filled_and_a_misspelt_one_is_an_error(client: FlaskClient, shop: Service) -> None:
    buy(client, "ada", "tea")
    buy(client, "bruno", "mug")
    everything = [("mug", "all_items"), ("tea", "all_items")]
    assert sorted(listed(client, "trending", "segment=region:Bavaria")) == everything, "before there are attributes"
    set_attributes(client, "ada", region="Bavaria", age=34)
    assert listed(client, "trending", "segment=region:Bavaria&limit=1") == [("tea", "trending")]
    for nobody in ("region:Atlantis", "age:50..", "shoe_size:44", "age:30..40&segment=region:Berlin"):
        assert sorted(listed(client, "trending", f"segment={nobody}")) == everything, nobody
    for wrong, problem in (
        ("regions:Bavaria", "no user has the attribute 'regions'; did you mean region? Users have age, region"),
        ("Region:Bavaria", "no user has the attribute 'Region'; did you mean region? Users have age, region"),
        ("region", "'region' is not NAME:VALUE, such as region:Bavaria, or a range such as age:30..44"),
        ("region=Bavaria", "'region=Bavaria' is not NAME:VALUE, such as region:Bavaria, or a range such as age:30..44"),
    ):
        for pipe in ("trending", "popular", "active_users"):
            error = error_of(client.get(f"/pipes/{pipe}", query_string={"segment": wrong}))
            assert (error["code"], error["message"]) == ("bad_parameters", f"segment: {problem}")


def test_a_change_of_attributes_is_in_the_next_answer(client: FlaskClient, shop: Service) -> None:
    buy(client, "ada", "tea")
    set_attributes(client, "ada", plan="free")
    assert listed(client, "popular", "segment=plan:pro&limit=1") == [("tea", "all_items")]
    assert client.post("/users?wait=true", json={"user_id": "ada", "attributes": {"plan": "pro"}}).status_code == 200
    assert listed(client, "popular", "segment=plan:pro&limit=1") == [("tea", "popular")]


def test_a_user_with_attributes_and_no_events_gets_recommendations(client: FlaskClient, shop: Service) -> None:
    buy(client, "ada", "tea")
    set_attributes(client, "new", region="Bavaria")
    for pipe in ("for_you", "rank", "user_features", "recently_viewed", "popular"):
        assert client.get(f"/pipes/{pipe}?user_id=new").status_code == 200
    assert listed(client, "for_you", "user_id=new")[0][0] == "tea"


def test_the_doctor_counts_users_by_attribute(client: FlaskClient, shop: Service) -> None:
    assert list(check_user_attributes(shop.warehouse)) == []
    set_attributes(client, "ada", plan="pro", age=3)
    set_attributes(client, "bruno", plan="pro")
    (finding,) = check_user_attributes(shop.warehouse)
    assert finding.message == "2 users have some: plan (2), age (1)"
    assert stored(shop) == []
