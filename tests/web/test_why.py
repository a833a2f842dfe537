"""Why a user saw a list: what was shown, what followed, and the same request now."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from alsobought.access.audit_reading import Filter, entries
from alsobought.cli import why as why_command
from alsobought.recommendation_ids import Placement
from alsobought.service.service import Service
from alsobought.storage.identities import user_key
from alsobought.web.factory import create_app
from alsobought.writer.submission import utc_now
from tests.support.project import project_folder
from tests.support.web import VIEW, buy, error_of

pytestmark = pytest.mark.embedded
RULES = "*,boost,,Kitchen,2,,\nbought,pin,mug,,1,,\ntrending,pin,pot,,1,,\n*,hide,lamp,,,,\n*,hide,pot,,,,2026-01-01\n"
BOUGHT = """-- What is bought most.
--
-- :user_id  String?               by this user
-- :limit    UInt8 = 2 (1..9)      how many
{% from 'catalogue.sql' import item_columns %}
{% from 'lists.sql' import is_eligible %}
select {{ item_columns("item_key") }}, times as score, concat('bought ', toString(times), ' times') as reason
from
    (
        select cityHash64(item_id) as item_key, sum(events) as times
        from user_items
        where event_type = 'purchase' {% if user_id %} and user_id = {{ user_id }} {% endif %}
        group by item_key
    )
where {{ is_eligible("item_key") }}
order by times desc, item_id
limit {{ limit }}
"""
SEEN = """-- Items.
--
-- :limit  UInt8 = 3  how many
select item_id from user_items group by item_id order by item_id limit {{ limit }}
"""
EXPERIMENT = """earned:
  surface: below
  variants:
    control: {share: 1%}
    nothing: {share: 99%, holdout: true}
"""
OLD = 1_600_000_000  # when rules.csv was saved


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    project_folder(home, "pipes", "sql", "migrations")
    (home / "pipes" / "bought.sql").write_text(BOUGHT)
    rules = home / "sql" / "rules.csv"
    rules.write_text(rules.read_text() + RULES)
    os.utime(rules, (OLD, OLD))
    return home


@pytest.fixture(scope="module")
def shop(home: Path, make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop(utc_now, home=str(home))  # older rows would expire


@pytest.fixture(scope="module")
def client(shop: Service) -> FlaskClient:
    client = create_app(shop).test_client()
    items = [{"item_id": i, "title": i.title(), "category": "Kitchen/Tea"} for i in ("tea", "mug", "pot", "lamp")]
    assert client.post("/items?wait=true", json=items).status_code == 200
    buy(client, "o1", "tea", "mug", "lamp")
    buy(client, "o2", "tea", "pot", user="v")
    return client


def explained(client: FlaskClient, id: str) -> dict[str, Any]:  # noqa: A002
    response = client.get(f"/workbench/why/{id}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.get_json()["why"]
    return found


def test_a_list_has_its_rules_what_followed_and_the_answer_of_now(client: FlaskClient, home: Path) -> None:
    answer = client.get("/pipes/bought?limit=2").get_json()
    rid = answer["recommendation_id"]
    shown = [row["item_id"] for row in answer["data"]]
    assert shown == ["tea", "mug"], "lamp is hidden"
    touch = {"user_id": "ada", "recommendation_id": rid, "item_id": "tea", "position": 2}
    client.post("/events?wait=true", json=[touch | {"event_type": one} for one in ("impression", "click")])
    buy(client, "after", "tea", user="ada")
    buy(client, "others", "mug", "pot", user="bo")
    buy(client, "more", "pot", user="bo")

    found = explained(client, rid)
    request, items = found["request"], {item["item_id"]: item for item in found["items"]}
    assert (request["pipe"], request["parameters"]) == ("bought", {"limit": ["2"]})
    assert [item["item_id"] for item in found["items"]] == shown
    assert [item["position"] for item in found["items"]] == [1, 2]
    assert {rule["line"]: rule["action"] for rule in found["rules"]} == {6: "boost", 7: "pin", 9: "hide"}
    assert (items["mug"]["rules"], items["tea"]["rules"]) == ([6, 7], [6])
    assert [(kind, event["linked"]) for kind, event in items["tea"]["later"].items()] == [
        ("impression", True),
        ("click", True),
        ("purchase", False),
    ]
    assert items["mug"]["later"] == {}, "somebody else bought it, who did not see the list"

    again = found["again"]
    assert (again["same_version"], again["events_since"], found["rules_changed"]) == (True, 6, False)
    assert again["differs"]
    now = [(item["position"], item["item_id"], item["was"], item["reason"]) for item in again["items"]]
    assert now == [(1, "pot", None, "bought 3 times"), (2, "tea", 1, "bought 3 times")]
    assert (items["tea"]["again"], items["mug"]["again"]) == (2, None)

    rules = home / "sql" / "rules.csv"
    rules.write_text(rules.read_text() + "*,hide,mug,,,,\n")
    found = explained(client, request["request_id"])
    assert (found["again"]["same_version"], found["rules_changed"]) == (False, True)
    assert 11 in [rule["line"] for rule in found["rules"]]


def test_a_page_has_several_lists_one_of_them_a_holdout(client: FlaskClient, home: Path) -> None:
    (home / "sql" / "surfaces.yaml").write_text(
        "top: {pipe: bought, limit: 1, fallbacks: [seen]}\nbelow: {pipe: bought}\n"
    )
    (home / "sql" / "experiments.yaml").write_text(EXPERIMENT)
    (home / "pipes" / "seen.sql").write_text(SEEN)
    response = client.get("/recommend?surface=top,below&user_id=v")
    assert response.status_code == 200, response.text
    page = response.get_json()
    found = explained(client, page["request_id"])
    lists = {found["request"]["surface"], *(other["surface"] for other in found["others"])}
    assert lists == {"top", "below"}
    top = explained(client, page["surfaces"]["top"]["recommendation_id"])
    assert [item["item_id"] for item in top["items"]] == [row["item_id"] for row in page["surfaces"]["top"]["data"]]
    assert (top["again"]["differs"], top["again"]["problem"], top["holdout"]) == (False, "", False)
    below = explained(client, page["surfaces"]["below"]["recommendation_id"])
    assert (below["request"]["variant"], below["holdout"], below["items"]) == ("nothing", True, [])
    assert below["again"]["items"] == []


def test_it_is_printed_and_recorded_in_the_audit_log(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = client.get("/pipes/bought?user_id=ada&limit=2", headers={"X-Request-Id": "page-7"}).get_json()
    explained(client, "page-7")
    entry = entries(shop.warehouse, Filter(limit=1))[0]
    assert entry.action == "request.explain"
    assert entry.object == f"request page-7 user {user_key(shop.warehouse, 'ada')}"

    class Open:
        def __enter__(self) -> object:
            return shop.warehouse

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(why_command, "existing_warehouse", lambda _: Open())
    printed = CliRunner().invoke(why_command.why, ["page-7"], obj=shop.settings)
    assert printed.exit_code == 0, printed.output
    assert "user_id=ada limit=2" in printed.output
    assert all(row["title"] in printed.output for row in answer["data"])
    assert "the list is the same" in printed.output


def test_an_error_says_why_there_is_nothing(client: FlaskClient, shop: Service) -> None:
    def error(text: str, status: int) -> str:
        response = client.get(f"/workbench/why/{text}")
        assert response.status_code == status, response.text
        found = error_of(response)
        return f"{found['code']}: {found['message']}. {found['hint']}"

    assert "bad_request: 'a b' is neither" in error("a b", 400)
    assert "kept for 90 days" in error("nobody-asked", 404)
    assert "signature is not valid" in error("A" * 32, 404)
    placement = Placement("popular", "v1", "home.top")
    shop.recommendations.mint(placement, utc_now())
    shop.recommendations.flush()
    old = shop.recommendations.ids.mint(placement, utc_now() - timedelta(days=100))
    assert "has expired; its list was that of popular, version v1 on home.top" in error(old, 404)
    lost = shop.recommendations.ids.mint(placement, utc_now())
    assert "is not recorded; its list was that of popular" in error(lost, 404)


def test_what_cannot_be_asked_again_is_still_explained(client: FlaskClient, home: Path) -> None:
    (home / "pipes" / "brief.sql").write_text("-- Items.\nselect item_id from user_items order by item_id limit 2\n")
    rid = client.get("/pipes/brief").get_json()["recommendation_id"]
    client.post("/events?wait=true", json=VIEW)
    (home / "pipes" / "brief.sql").unlink()
    found = explained(client, rid)
    assert "no pipe called 'brief'" in found["again"]["problem"]
    assert [item["again"] for item in found["items"]] == [None, None]
