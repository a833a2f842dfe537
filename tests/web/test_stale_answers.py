"""A stale answer is served while it is refreshed; never after `?wait=true`, and never with `?fresh=true`."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from alsobought.errors import AlsoboughtError, TooSlow, WarehouseFault
from alsobought.events import Event
from alsobought.service.service import Service
from alsobought.serving.answer import format_time
from alsobought.serving.cache import never, stale_until
from alsobought.serving.failures import FAILURE_SECONDS
from alsobought.serving.invalidation import ANY_EVENT
from alsobought.storage.catalogue import reload_dictionaries
from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.web.factory import create_app
from alsobought.writer.submission import Submission
from tests.support.web import VIEW, emptied, error_of
from tests.web.test_fast_lane import HEADERS, head, parsed

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
VIEWED = "/pipes/recently_viewed?user_id=u"


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch may take longer than a second to be stored where many tests run."""
    monkeypatch.setattr("alsobought.serving.cache.MAX_STALENESS_SECONDS", 60.0)


@pytest.fixture(scope="module")
def times() -> list[datetime]:
    """The shop's clock, as a list of one element that a test advances."""
    return [NOON]


@pytest.fixture(scope="module")
def filled(make_shared_shop: Callable[..., Service], times: list[datetime]) -> Service:
    return make_shared_shop(lambda: times[0])


@pytest.fixture
def shop(filled: Service) -> Service:
    """The shop of this module, with the views that the tests begin with, so that no later id is new."""
    shop = emptied(filled)
    store(shop, "tea", "mug", "pot", user="first")
    store(shop, "tea")
    return shop


def store(shop: Service, *items: str, user: str = "u", waiting: bool = True) -> None:
    """Without `waiting` as posts are stored that nobody waits for: answers become stale."""
    events = [msgspec.convert(VIEW | {"item_id": item, "user_id": user}, Event) for item in items]
    shop.writer.submit(Submission(events, waiting=waiting)).result(30)


def answer_to(client: FlaskClient, url: str = VIEWED, **headers: str) -> dict[str, Any]:
    got = client.get(url, headers=headers)
    assert got.status_code == 200, got.text
    return {**json.loads(got.text), "cache": got.headers["Cache-Status"].removeprefix("alsobought; ")}


def viewed(client: FlaskClient, url: str = VIEWED, **headers: str) -> list[str]:
    return [row["item_id"] for row in answer_to(client, url, **headers)["data"]]


def until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Refreshes(list[Callable[[], None]]):
    """Refreshes that wait until a test runs them."""

    def __call__(self, run: Callable[[], None], /, *, joint: bool) -> bool:  # noqa: ARG002
        self.append(run)
        return True

    def run(self) -> None:
        while self:
            self.pop(0)()


@pytest.fixture
def refreshes(shop: Service, monkeypatch: pytest.MonkeyPatch) -> Refreshes:
    refreshes = Refreshes()
    monkeypatch.setattr(shop.cache, "_submit", refreshes)
    return refreshes


def test_a_stale_answer_is_served_with_its_own_time_until_it_is_refreshed(
    client: FlaskClient, shop: Service, times: list[datetime], refreshes: Refreshes
) -> None:
    first = answer_to(client)["as_of"]
    times[0] += timedelta(seconds=7)
    store(shop, "mug", waiting=False)
    stale = answer_to(client)
    assert ([row["item_id"] for row in stale["data"]], stale["as_of"], stale["cache"]) == (["tea"], first, "hit")
    refreshes.run()
    refreshed = answer_to(client)
    assert ([row["item_id"] for row in refreshed["data"]], refreshed["cache"]) == (["mug", "tea"], "hit")
    assert refreshed["as_of"] == format_time(times[0])


def test_answers_that_share_queries_are_refreshed_at_once_if_somebody_has_asked_since_their_last_refresh(
    client: FlaskClient, shop: Service, refreshes: Refreshes
) -> None:
    assert viewed(client) == ["tea"]
    store(shop, "mug", waiting=False)
    assert len(refreshes) == 1, "nobody has asked for the stale answer yet"
    refreshes.run()
    assert viewed(client) == ["mug", "tea"]
    store(shop, "pot", waiting=False)
    refreshes.run()
    store(shop, "tea", waiting=False)
    assert not refreshes, "nobody has asked since the last refresh"
    assert viewed(client) == ["pot", "mug", "tea"], "stale"
    refreshes.run()
    assert viewed(client) == ["tea", "pot", "mug"]


def test_the_time_of_an_answer_is_that_before_its_query(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that is stored meanwhile may be in it or not."""
    raw, before = ClickHouseWarehouse.raw, shop.writer.as_of

    def store_meanwhile(*arguments: Any) -> bytes:
        monkeypatch.setattr(shop.writers[0].lease, "as_of", NOON + timedelta(days=1))
        return raw(*arguments)

    monkeypatch.setattr(ClickHouseWarehouse, "raw", store_meanwhile)
    assert answer_to(client)["as_of"] == format_time(before)
    assert json.loads(client.get("/readyz").text)["as_of"] == format_time(NOON + timedelta(days=1))


def test_nobody_gets_a_stale_answer_after_its_deadline(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alsobought.serving.cache.MAX_STALENESS_SECONDS", 0.0)
    assert viewed(client) == ["tea"]
    store(shop, "mug", waiting=False)
    assert viewed(client) == ["mug", "tea"]


@pytest.fixture
def _no_refresh(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stale answer stays stale."""
    monkeypatch.setattr(shop.cache, "_submit", never)


@pytest.mark.usefixtures("_no_refresh")
def test_after_a_wait_no_answer_is_stale(client: FlaskClient, shop: Service) -> None:
    """Not even those that an earlier event of somebody else made stale."""
    popular = "/pipes/popular?limit=1"
    before = answer_to(client, popular)["data"]
    assert viewed(client) == ["tea"]
    store(shop, "mug", "mug", waiting=False)
    assert (viewed(client), answer_to(client, popular)["data"]) == (["tea"], before)
    post = client.post("/events?wait=true", json=VIEW | {"user_id": "someone", "item_id": "pot"})
    assert post.status_code == 200
    assert viewed(client) == ["mug", "tea"]
    assert answer_to(client, popular)["data"] != before


@pytest.mark.usefixtures("_no_refresh")
def test_after_a_wait_for_duplicates_no_answer_is_stale(client: FlaskClient, shop: Service) -> None:
    event = VIEW | {"item_id": "mug", "event_id": "e1"}
    assert viewed(client) == ["tea"]
    shop.writer.submit(Submission([msgspec.convert(event, Event)])).result(30)
    assert viewed(client) == ["tea"], "stale"
    assert json.loads(client.post("/events?wait=true", json=event).text)["duplicates"] == 1
    assert viewed(client) == ["mug", "tea"]


@pytest.mark.usefixtures("_no_refresh")
def test_with_kafka_the_end_of_a_wait_drops_stale_answers(client: FlaskClient, shop: Service) -> None:
    assert viewed(client) == ["tea"]
    store(shop, "mug", waiting=False)
    assert viewed(client) == ["tea"], "stale"
    shop.visibility.refresh()
    assert viewed(client) == ["mug", "tea"]


def test_a_new_id_makes_no_other_answer_stale(client: FlaskClient, shop: Service) -> None:
    """It is in the catalogue a moment after its event is stored, which once cleared the cache."""
    url = "/pipes/recently_viewed?user_id=first"
    answer_to(client, url)
    store(shop, "never-seen")
    assert answer_to(client, url)["cache"] == "hit"
    assert viewed(client) == ["never-seen", "tea"]


def test_an_answer_from_before_the_catalogue_has_a_new_id_is_not_served_afterwards(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "/pipes/all_items?limit=100"
    between = []

    def listed() -> bool:
        return "late" in [row["item_id"] for row in answer_to(client, url)["data"]]

    def reload(*arguments: Any, **keywords: Any) -> None:
        between.append(listed())
        reload_dictionaries(*arguments, **keywords)

    monkeypatch.setattr("alsobought.storage.catalogue.reload_dictionaries", reload)
    store(shop, "late")
    assert between == [False]
    assert listed()


@pytest.mark.parametrize("pipe", ["popular", "all_items", "new_items", "trending", "active_users"])
def test_any_event_makes_a_list_of_the_whole_shop_stale(client: FlaskClient, shop: Service, pipe: str) -> None:
    url = f"/pipes/{pipe}"
    first = answer_to(client, url)
    refreshes = shop.cache.counts.refreshes
    store(shop, "mug", user="someone", waiting=False)
    assert answer_to(client, url)["data"] == first["data"]
    until(lambda: shop.cache.counts.refreshes > refreshes and not shop.cache._flights)
    (cached,) = [one for one in shop.cache._values.values() if one.value.pipe.name == pipe]
    assert ANY_EVENT in cached.tags
    assert cached.deadline > time.monotonic()


def test_a_list_filled_by_one_of_the_whole_shop_is_stale_after_any_event(client: FlaskClient, shop: Service) -> None:
    url = "/pipes/also_bought?item_id=tea"
    answer_to(client, url)
    (cached,) = [one for one in shop.cache._values.values() if one.value.pipe.name == "also_bought"]
    store(shop, "pot", user="someone", waiting=False)
    assert cached.stale_at <= time.monotonic()


@pytest.mark.parametrize("url", [VIEWED.replace("=u", "=new"), "/pipes/for_you?user_id=new"])
def test_an_answer_without_rows_of_its_own_is_cached_until_the_first_event(
    client: FlaskClient, shop: Service, url: str
) -> None:
    def own() -> list[str]:
        name = url.split("/")[2].split("?", maxsplit=1)[0]
        return [row["item_id"] for row in answer_to(client, url)["data"] if row.get("source", name) == name]

    assert own() == []
    assert answer_to(client, url)["cache"] == "hit"
    line = {"event_type": "purchase", "order_id": "o1"}
    bought = [VIEW | line | {"user_id": "first", "item_id": item} for item in ("tea", "mug")]
    client.post("/events?wait=true", json=[*bought, VIEW | {"user_id": "new"}])
    assert own() == (["tea"] if "viewed" in url else ["mug"])


@pytest.mark.parametrize("fresh", ["true", "1", "TRUE"])
def test_a_fresh_answer_is_computed_and_replaces_the_cached_one(client: FlaskClient, shop: Service, fresh: str) -> None:
    assert viewed(client) == ["tea"]
    shop.warehouse.command(f"truncate table {shop.warehouse.database}.user_history")
    assert viewed(client) == ["tea"]
    assert viewed(client, f"{VIEWED}&fresh=false") == ["tea"]
    assert viewed(client, f"{VIEWED}&fresh={fresh}") == []
    assert viewed(client) == []


def test_a_post_may_ask_for_a_fresh_answer(client: FlaskClient, shop: Service) -> None:
    assert viewed(client) == ["tea"]
    shop.warehouse.command(f"truncate table {shop.warehouse.database}.user_history")
    got = client.post("/pipes/recently_viewed", json={"user_id": "u", "fresh": True})
    assert json.loads(got.text)["rows"] == 0


@pytest.mark.parametrize("query", ["fresh=maybe", "fresh=", "fresh=true&fresh=false"])
def test_a_wrong_value_of_fresh_is_rejected(client: FlaskClient, query: str) -> None:
    got = client.get(f"{VIEWED}&{query}")
    assert got.status_code == 400
    assert error_of(got)["details"][0]["param"] == "fresh"


class Failing:
    """A warehouse whose reads fail, and are counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: AlsoboughtError) -> None:
        self.reads, self._error = 0, error
        monkeypatch.setattr(ClickHouseWarehouse, "raw", self._raw)

    def _raw(self, *_: object) -> bytes:
        self.reads += 1
        raise self._error


@pytest.mark.parametrize(("error", "status"), [(TooSlow("5 s"), 504), (WarehouseFault("it is away"), 503)])
@pytest.mark.parametrize("url", [VIEWED, "/pipes/user_features?user_id=u"])
def test_an_error_is_shared_for_a_second(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch, error: AlsoboughtError, status: int, url: str
) -> None:
    client.get(f"{url}&limit=x")  # so that the pipe is read
    with monkeypatch.context() as patched:
        failing = Failing(patched, error)
        responses = [client.get(url) for _ in range(5)]
        assert failing.reads == 1
        client.get(f"{url}&fresh=true")
        assert failing.reads == 2
    for got in responses:
        assert (got.status_code, got.headers["Retry-After"]) == (status, "1")
        assert error_of(got)["code"] == error.code
    assert client.get(f"{url}&limit=x").status_code == 400, "this is cheap and not shared"
    time.sleep(FAILURE_SECONDS)
    assert client.get(url).status_code == 200


def test_a_failing_refresh_is_hidden_from_callers_until_the_deadline(
    client: FlaskClient,
    shop: Service,
    refreshes: Refreshes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert viewed(client) == ["tea"]
    store(shop, "mug", waiting=False)
    Failing(monkeypatch, WarehouseFault("it is away"))
    refreshes.run()
    assert viewed(client) == ["tea"]
    assert shop.cache.counts.failed_refreshes == 1
    key = next(key for key in shop.cache._values if str(key) == "recently_viewed")
    shop.cache._values[key].deadline = 0.0
    assert client.get(VIEWED).status_code == 503
    messages = [record.message for record in caplog.records if record.name == "alsobought.serving.cache"]
    assert messages == ["a cached answer of recently_viewed could not be refreshed: it is away"]


def test_the_fast_lane_serves_a_stale_answer_until_it_is_refreshed(shop: Service, refreshes: Refreshes) -> None:
    app = create_app(shop)
    client, lane = app.test_client(), app.extensions["fast_lane"]
    client.get(VIEWED, headers=HEADERS, environ_overrides={"RAW_URI": VIEWED})
    store(shop, "mug", waiting=False)

    def items() -> list[str]:
        body: Any = parsed(lane.respond(head(VIEWED)))["body"]
        return [row["item_id"] for row in body["data"]]

    assert items() == ["tea"]
    refreshes.run()
    assert items() == ["mug", "tea"]
    (key,) = shop.cache._values
    shop.cache.invalidate(shop.cache._values[key].tags, stale_until(time.monotonic() - 100))
    assert lane.respond(head(VIEWED)) is None, "past the deadline a thread computes it"


def test_the_fast_lane_does_not_repeat_fresh_answers(shop: Service) -> None:
    app = create_app(shop)
    url = f"{VIEWED}&fresh=true"
    for _ in range(2):
        app.test_client().get(url, headers=HEADERS, environ_overrides={"RAW_URI": url})
        assert app.extensions["fast_lane"].respond(head(url)) is None


def test_the_cache_is_in_the_metrics(client: FlaskClient, shop: Service) -> None:
    def value(name: str) -> float:
        found = re.search(rf"^alsobought_cache_{re.escape(name)} (\S+)$", client.get("/metrics").text, re.M)
        assert found, name
        return float(found[1])

    names = [f'requests_total{{outcome="{outcome}"}}' for outcome in ("hit", "stale_hit", "miss")]
    names += ["refreshes_total", "failed_refreshes_total"]
    before = [value(name) for name in names]
    viewed(client)
    viewed(client)
    store(shop, "mug", waiting=False)
    viewed(client)
    until(lambda: value("refreshes_total") > before[3])
    assert [value(name) - start for name, start in zip(names, before, strict=True)] == [1, 1, 1, 1, 0]
    assert value("answers") == 1
    assert value("bytes") > 200
