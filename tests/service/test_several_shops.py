"""Two shops with the same ids of items and users, in two databases of one server, in two folders, on one Kafka: neither sees or
touches the other.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.counts.consistency import check
from alsobought.errors import Unusable
from alsobought.kafka.consumer import TopicConsumer
from alsobought.privacy.guests import merge_guests
from alsobought.service.service import Service
from alsobought.settings import SCRATCH_SUFFIXES, Settings, from_environment
from alsobought.storage.scratch_database import Scratch
from alsobought.web.factory import create_app
from tests.counts.test_invariant import rebuilt
from tests.support.brokers import Broker
from tests.support.kafka import Topics, until
from tests.support.process import ServedProcess, running, serving
from tests.support.project import ROOT, project_folder
from tests.support.web import error_of, stored, wrong_tables

OWN_RECORDS = {
    "placements",
    "requests",
    "writers",
    "migrations",
    "item_demand",
}  # of what a service did, and what it loads later
TEA = {"item_id": "tea", "category": "Kitchen"}


def order(user: str, order_id: str, *items: str) -> list[dict[str, Any]]:
    line = {"event_type": "purchase", "user_id": user, "order_id": order_id}
    return [line | {"item_id": item} for item in items]


def contents(shop: Service) -> list[Any]:
    """Of each table its name, the number of its rows, and a hash of all of them."""
    database = shop.settings.database
    selects = [
        f"select '{name}' as name, count(), groupBitXor(cityHash64(formatRowNoNewline('TSV', *))) from {database}.{name}"
        for name in sorted(shop.warehouse.tables() - OWN_RECORDS)
    ]
    return shop.warehouse.trusted_rows(f"select * from ({' union all '.join(selects)}) order by name").data


def titles(client: FlaskClient, pipe: str) -> list[tuple[str, str]]:
    rows = json.loads(client.get(f"/pipes/{pipe}").text)["data"]
    return [(row.get("other_item_id") or row["item_id"], row["title"]) for row in rows]


def test_two_databases_of_one_engine_are_two_shops(make_shop: Callable[..., Service]) -> None:
    berlin, turku = make_shop(), make_shop()
    assert berlin.settings.database != turku.settings.database
    in_berlin, in_turku = (create_app(shop).test_client() for shop in (berlin, turku))
    in_berlin.post("/items?wait=true", json=[TEA | {"title": "Tee"}, {"item_id": "mug", "title": "Becher"}])
    in_turku.post("/items?wait=true", json=[TEA | {"title": "Tee (fi)"}, {"item_id": "cup", "title": "Kuppi"}])
    in_berlin.post("/events?wait=true", json=[*order("ada", "o1", "tea", "mug"), *order("bob", "o2", "tea", "mug")])
    in_turku.post("/events?wait=true", json=order("ada", "o1", "tea", "cup"))
    in_turku.post("/events?wait=true", json={"event_type": "view", "session_id": "s1", "item_id": "cup"})
    assert titles(in_berlin, "also_bought?item_id=tea&limit=1") == [("mug", "Becher")]
    assert titles(in_turku, "also_bought?item_id=tea&limit=1") == [("cup", "Kuppi")]
    assert titles(in_turku, "popular?limit=1") == [("cup", "Kuppi")]
    untouched = contents(turku)
    assert in_berlin.delete("/items/mug?wait=true").status_code == 200
    merge = in_berlin.post("/users/merge", json={"guest_id": "s1", "user_id": "ada"})
    assert json.loads(merge.text)["events"] == 0, "the guest of the other shop is nobody here"
    rebuilt(berlin, "user_categories")
    assert check(berlin.warehouse, berlin.do, ROOT / "sql" / "checks", only=["user_categories"]).wrong == []
    berlin.do("forget", "ada")
    in_berlin.post("/events?wait=true", json=order("cleo", "o1", "tea"))
    assert stored(berlin, "user_id, order_id") == [["bob", "o2"], ["bob", "o2"], ["cleo", "o1"]]
    assert contents(turku) == untouched
    assert titles(in_turku, "also_bought?item_id=tea&limit=1") == [("cup", "Kuppi")]
    assert [wrong_tables(shop) for shop in (berlin, turku)] == [{}, {}]


@pytest.mark.parametrize("suffix", SCRATCH_SUFFIXES)
def test_a_database_cannot_be_called_like_a_temporary_one_of_another_shop(suffix: str) -> None:
    with pytest.raises(Unusable, match="which a shop with the database berlin would delete"):
        from_environment({"ALSOBOUGHT_DATABASE": f"berlin{suffix}"})


def test_every_temporary_database_has_one_of_these_names(shop: Service) -> None:
    with pytest.raises(ValueError, match="add it to SCRATCH_SUFFIXES"):
        Scratch(shop.warehouse, "other")


def test_shops_of_one_server_have_consumer_groups_of_their_own() -> None:
    groups = [Settings(database=name).consumer_group for name in ("alsobought", "berlin", "turku")]
    assert groups == ["alsobought", "alsobought-berlin", "alsobought-turku"]
    assert Settings(database="berlin", kafka_group="readers").consumer_group == "readers"


# Kafka


@contextmanager
def consuming(*shops: Service) -> Iterator[list[TopicConsumer]]:
    with ExitStack() as stack:
        consumers = [TopicConsumer(shop.writer, shop.settings, merge_guests) for shop in shops]
        for consumer in consumers:
            consumer.start()
            stack.callback(consumer.stop)
        yield consumers


def view(user: str, site: str, **more: Any) -> dict[str, Any]:
    return {"event_type": "view", "user_id": user, "item_id": "tea", "properties": {"site": site}, **more}


@pytest.mark.thorough
def test_shops_share_a_broker_by_their_topics_or_a_topic_by_a_field(
    make_shop: Callable[..., Service], kafka: Broker
) -> None:
    topics, own = Topics(kafka), Topics(kafka)
    site = "properties.site|attributes.site|context.site"
    shared = {**topics.settings, "kafka_group": ""}
    berlin, turku = (make_shop(**shared, kafka_where=f"{site}={name}") for name in ("berlin", "turku"))
    oslo = make_shop(**own.settings | {"kafka_group": ""})
    topics.create()
    own.create()
    call = {"type": "track", "event": "Product Viewed", "userId": "dan", "properties": {"product_id": "mug"}}
    messages = [
        view("ada", "Berlin"),
        view("ada", "turku"),
        view("bob", "turku"),
        call | {"context": {"site": "berlin"}},
    ]
    topics.send(*messages, {"event_type": "view", "user_id": "nobody", "item_id": "tea"})
    topics.send({"item_id": "tea", "title": "Tee", "attributes": {"site": "berlin"}}, {"item_id": "tea"}, items=True)
    own.send({"event_type": "view", "user_id": "ada", "item_id": "fish"})
    with consuming(berlin, turku, oslo) as consumers:
        until(lambda: [consumer.totals.messages for consumer in consumers] == [7, 7, 1])
        counts = [(consumer.totals.stored, consumer.totals.skipped) for consumer in consumers]
    assert counts == [(3, 4), (2, 5), (1, 0)]
    assert sorted(stored(berlin, "user_id, item_id")) == [["ada", "tea"], ["dan", "mug"]]
    assert sorted(stored(turku, "user_id, item_id")) == [["ada", "tea"], ["bob", "tea"]]
    assert stored(oslo, "user_id, item_id") == [["ada", "fish"]]
    assert ("tea", "Tee") in titles(create_app(berlin).test_client(), "popular?limit=2")
    assert titles(create_app(turku).test_client(), "popular?limit=2") == [("tea", "")]


def test_a_post_that_its_own_shop_would_not_read_again_is_refused(
    make_shop: Callable[..., Service], kafka: Broker
) -> None:
    topics = Topics(kafka)
    topics.create()
    client = create_app(make_shop(**topics.settings, kafka_where="properties.site=berlin")).test_client()
    assert client.post("/events", json=view("ada", "berlin")).status_code == 202
    error = error_of(client.post("/events", json=[view("ada", "berlin"), view("ada", "turku")]))
    assert error["message"] == "1 of 2 events are not of this shop, which reads only properties.site=berlin"


# Two folders


def bought(shop: ServedProcess) -> list[tuple[str, str]]:
    status, answer = shop.ask("/pipes/also_bought?item_id=tea&limit=1")
    assert status == 200, answer
    return [(row["other_item_id"], row["title"]) for row in answer["data"] if row["baskets"]]


@pytest.mark.thorough
@pytest.mark.journey
def test_two_folders_are_two_shops_that_share_pipes_and_have_rules_of_their_own(
    migrated_folder: Path, tmp_path: Path
) -> None:
    project_folder(tmp_path / "shared")
    runs = {}
    for name in ("berlin", "turku"):
        home = tmp_path / name
        home.mkdir()
        for part in ("pipes", "migrations"):
            (home / part).symlink_to(tmp_path / "shared" / part)
        (home / "sql").mkdir()
        for path in (tmp_path / "shared" / "sql").iterdir():
            if path.name != "rules.csv":
                (home / "sql" / path.name).symlink_to(path)
        shutil.copy(tmp_path / "shared" / "sql" / "rules.csv", home / "sql")
        shutil.copytree(migrated_folder, tmp_path / f"data-{name}", symlinks=True)
        runs[name] = running(tmp_path / f"data-{name}", ALSOBOUGHT_DATABASE="alsobought").at(home)
    with serving(runs["turku"]) as turku:
        with serving(runs["berlin"]) as berlin:
            for shop, title in ((berlin, "Becher"), (turku, "Muki")):
                assert shop.ask("/items?wait=true", {"item_id": "mug", "title": title})[0] == 200
                assert shop.ask("/events?wait=true", order("ada", "o1", "tea", "mug"))[0] == 200
            rules = tmp_path / "berlin" / "sql" / "rules.csv"
            rules.write_text(f"{rules.read_text()}*,hide,mug,,,,\n")
            until(lambda: bought(berlin) == [])
            assert bought(turku) == [("mug", "Muki")]
            assert runs["berlin"]("forget", "ada").status == 0
            assert runs["berlin"]("check").status == 0
        backup = shutil.copytree(tmp_path / "data-berlin", tmp_path / "backup", symlinks=True)
        assert bought(turku) == [("mug", "Muki")]
        shutil.rmtree(tmp_path / "data-berlin")
        backup.rename(tmp_path / "data-berlin")
        with serving(runs["berlin"]) as berlin:
            assert berlin.ask("/items/mug")[1]["title"] == "Becher"
            assert runs["turku"]("export", "ada").status == 0
            assert runs["berlin"]("export", "ada").status == 1
            reports = [runs[name]("doctor") for name in ("berlin", "turku")]
        assert [report.status for report in reports] == [0, 0], reports
