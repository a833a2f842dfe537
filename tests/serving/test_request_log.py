"""Every request to a pipe is a row in `requests`, written in the background, or is counted."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.authoring.case_files import Case
from alsobought.authoring.pipe_tests import case_runner
from alsobought.errors import NotStored
from alsobought.events import Event
from alsobought.items import Item
from alsobought.recommendation_ids import Placement
from alsobought.service.service import Service
from alsobought.serving import row_log
from alsobought.serving.answers import answer
from alsobought.serving.request_log import MAX_PARAMETERS, RequestRecord
from alsobought.settings import Settings
from alsobought.web.factory import create_app
from alsobought.writer.submission import MaintenanceTask, Submission, utc_now
from tests.support.web import AWKWARD, VIEW, buy, emptied, error_of, stored


@pytest.fixture(scope="module")
def filled(make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop(utc_now)  # older rows would expire


@pytest.fixture
def shop(filled: Service) -> Service:
    """The shop of this module, emptied."""
    return emptied(filled)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """Messages that the request log has logged."""
    with caplog.at_level(logging.INFO, "alsobought.serving.row_log"):
        yield lambda: [record.getMessage() for record in caplog.records if record.name == "alsobought.serving.row_log"]


def recorded(shop: Service, columns: str, *, flush: bool = True) -> list[Any]:
    """These columns of the rows, in the order of the requests; one column as plain values."""
    if flush and shop.request_log:
        shop.request_log.flush()
    sql = f"select {columns} from {shop.warehouse.database}.requests order by time, request_id"
    read = shop.warehouse.trusted_rows if flush else shop.warehouse.rows  # else the writer may use its connection
    rows = read(sql).data
    return rows if "," in columns else [row[0] for row in rows]


def test_each_page_records_the_items_that_it_shows(client: FlaskClient, shop: Service) -> None:
    buy(client, "o1", "tea", "mug", "cup", "pot", "jar")
    first = client.get("/pipes/all_items?limit=2").get_json()
    second = client.get(f"/pipes/all_items?limit=2&cursor={first['next']}").get_json()
    shown = [[row["item_id"] for row in page["data"]] for page in (first, second)]
    assert len({*shown[0], *shown[1]}) == 4
    assert recorded(shop, "item_ids") == shown
    asked = [json.loads(text) for text in recorded(shop, "parameters")]
    assert asked == [{"limit": ["2"]}, {"limit": ["2"], "cursor": [first["next"]]}]


def record(number: int = 0) -> RequestRecord:
    return RequestRecord(utc_now(), f"r{number}", Placement("trending", "v"), b"{}", 200, "", 0.001, None)


# A row


def test_a_request_is_a_row_within_a_second(client: FlaskClient, shop: Service) -> None:
    buy(client, "o1", "tea", "mug", "cup")
    before = datetime.now(UTC)
    got = client.get("/pipes/also_bought?item_id=tea&limit=7", headers={"X-Request-Id": "r1"})
    body = json.loads(got.text)
    until = time.monotonic() + 10
    while not (rows := recorded(shop, "*, 1", flush=False)) and time.monotonic() < until:
        time.sleep(0.05)
    sql = f"select name from system.columns where database = '{shop.warehouse.database}' and table = 'requests'"
    names = [name for (name,) in shop.warehouse.trusted_rows(sql).data]
    row = dict(zip(names, rows[0][:-1], strict=True))
    at = datetime.fromisoformat(row.pop("time")).replace(tzinfo=UTC)
    assert before - timedelta(milliseconds=1) <= at <= datetime.now(UTC)
    assert 0 < row.pop("seconds") < 10
    assert sorted(row["item_ids"]) == ["cup", "mug"]
    assert row == {
        "request_id": "r1",
        "recommendation_id": body["recommendation_id"],
        "pipe": "also_bought",
        "version": body["pipe"]["version"],
        "surface": "",
        "experiment": "",
        "variant": "",
        "unit": "",
        "shadow_of": "",
        "fallback": "",
        "parameters": '{"item_id":["tea"],"limit":["7"]}',
        "item_ids": [row["other_item_id"] for row in body["data"]],
        "propensities": [],
        "scores": pytest.approx([row["score"] for row in body["data"]]),
        "sources": ["also_bought", "also_bought"],
        "rows": 2,
        "status": 200,
        "error": "",
        "rows_read": body["statistics"]["rows_read"],
        "bytes_read": body["statistics"]["bytes_read"],
        "kept": False,
    }
    assert row["rows_read"] > 0


def test_shown_items_are_recorded_in_order_whichever_pipe_gave_them(client: FlaskClient, shop: Service) -> None:
    client.post("/events", json=[VIEW | {"item_id": item} for item in ("tea", "mug", "cup")])
    paths = (
        "recently_viewed?user_id=u",
        "recently_viewed?user_id=u&limit=2",
        "also_bought?item_id=new",
        "active_users",
    )
    bodies = [json.loads(client.get(f"/pipes/{path}").text) for path in paths]
    rows = recorded(shop, "pipe, fallback, item_ids, rows")
    assert [row[2] for row in rows[:2]] == [["cup", "mug", "tea"], ["cup", "mug"]]
    assert rows[2][:3] == ["also_bought", "trending", [row["other_item_id"] for row in bodies[2]["data"]]]
    assert sorted(rows[2][2]) == ["cup", "mug", "tea"]
    assert rows[3] == ["active_users", "", [], 1], "its rows are not items"


@pytest.mark.parametrize(
    "body",
    [
        {"item_id": AWKWARD},
        {"item_id": ["tea", "mug", "tea"], "limit": 3},
        {"item_id": "tea", "limit": "3", "category": '{"a": [1]}'},
        {"item_id": "8", "category": "\u2028\x7f\\u0000"},
    ],
)
def test_recorded_parameters_give_the_same_answer_again(
    client: FlaskClient, shop: Service, body: dict[str, Any]
) -> None:
    buy(client, "o1", "tea", "mug", "8", AWKWARD)
    first = json.loads(client.post("/pipes/also_bought", json=body).text)
    ((pipe, parameters, item_ids),) = recorded(shop, "pipe, parameters, item_ids")
    raw = json.loads(parameters)
    assert raw == {name: value if isinstance(value, list) else [value] for name, value in body.items()}
    again = answer(shop.library, shop.warehouse, pipe, raw, shop.clock())
    assert (
        [row["other_item_id"] for row in again.dicts()] == item_ids == [row["other_item_id"] for row in first["data"]]
    )


@pytest.mark.parametrize(
    "value", [0, -1, 1.0, 0.1, 2**53 + 1, 2**64 - 1, 10**40, 1e300, True, [], ["a", 1], {"a": None}]
)
def test_recorded_parameters_keep_the_type_of_every_value(client: FlaskClient, shop: Service, value: Any) -> None:
    """Also of rejected values: a newer text may accept them."""
    assert client.post("/pipes/trending", json={"limit": value, "item_id": "x"}).status_code in (200, 400)
    (text,) = recorded(shop, "parameters")
    assert repr(json.loads(text)["limit"]) == repr(value if isinstance(value, list) else [value])


def test_parameters_that_are_too_long_are_not_recorded(client: FlaskClient, shop: Service) -> None:
    for number, length in enumerate((MAX_PARAMETERS // 2, MAX_PARAMETERS)):
        client.post("/pipes/trending", json={"category": "x" * length}, headers={"X-Request-Id": f"r{number}"})
    short, long = recorded(shop, "parameters")
    assert (len(json.loads(short)["category"][0]), long) == (MAX_PARAMETERS // 2, "")


def test_a_cached_answer_is_a_row_that_read_nothing(client: FlaskClient, shop: Service) -> None:
    buy(client, "o1", "tea", "mug")
    bodies = [json.loads(client.get("/pipes/also_bought?item_id=tea").text) for _ in range(3)]
    assert bodies[0]["data"] == bodies[2]["data"]
    rows = recorded(shop, "kept, rows_read > 0, bytes_read > 0, item_ids, version")
    version = bodies[0]["pipe"]["version"]
    assert rows == [[False, 1, 1, ["mug"], version], *[[True, 0, 0, ["mug"], version]] * 2]


def test_errors_are_rows_with_their_code(client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    version = json.loads(client.get("/pipes/trending").text)["pipe"]["version"]
    client.get("/pipes/trending?limit=0", headers={"X-Request-Id": "r1"})

    def fail(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(shop.warehouse, "rows", fail)
    client.get("/pipes/trending.csv?limit=9", headers={"X-Request-Id": "r2"})
    assert recorded(shop, "status, error, version, parameters, rows") == [
        [200, "", version, "{}", 0],
        [400, "bad_parameters", version, '{"limit":["0"]}', 0],
        [500, "internal", version, '{"limit":["9"]}', 0],
    ]


def test_other_requests_are_not_recorded(client: FlaskClient, shop: Service) -> None:
    client.get("/pipes/made_up")
    client.get("/pipes/trending.made_up")
    client.get("/pipes")
    client.post("/events", json=VIEW)
    assert recorded(shop, "pipe") == []


def test_cases_are_not_recorded() -> None:
    with case_runner(Settings()) as runner:
        assert runner.run("trending", Case("has nothing", answer=[])) == ""
        assert recorded(runner.service, "pipe") == []


def test_recording_can_be_disabled(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(utc_now, record_requests=False)
    client = create_app(shop).test_client()
    assert client.get("/pipes/trending").status_code == 200
    assert recorded(shop, "pipe") == []
    assert "requests_dropped" not in client.get("/metrics").text


def test_rows_expire_after_ninety_days(make_shop: Callable[..., Service]) -> None:
    now = utc_now()
    times = iter([now - timedelta(days=100), now - timedelta(days=80), now])
    current = [now]
    shop = make_shop(lambda: current[0])
    client = create_app(shop).test_client()
    for current[0] in times:
        client.get("/pipes/trending")
        assert shop.request_log
        shop.request_log.flush()
    shop.warehouse.command(f"optimize table {shop.warehouse.database}.requests final")
    assert recorded(shop, "dateDiff('day', time, now()), pipe") == [[80, "trending"], [0, "trending"]]


# The queue


def dropped(client: FlaskClient) -> float:
    (line,) = [
        line for line in client.get("/metrics").text.splitlines() if line.startswith("alsobought_requests_dropped_")
    ]
    return float(line.split()[1])


class BusyWriter:
    """A writer that is busy until `go` is set."""

    def __init__(self, shop: Service) -> None:
        self.go, reached = threading.Event(), threading.Event()

        def busy() -> None:
            reached.set()
            self.go.wait(30)

        self.done = shop.writer.run(MaintenanceTask(busy))
        assert reached.wait(30)


def test_with_a_full_queue_requests_are_dropped_and_counted_without_waiting(
    make_shop: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_log, "MAX_WAITING", 5)
    monkeypatch.setattr(row_log, "FLUSH_SECONDS", 60.0)
    shop = make_shop(utc_now)
    client = create_app(shop).test_client()
    busy_writer = BusyWriter(shop)
    assert dropped(client) == 0
    for number in range(8):
        assert client.get("/pipes/active_users", headers={"X-Request-Id": f"r{number}"}).status_code == 200
    assert dropped(client) == 3
    busy_writer.go.set()
    assert recorded(shop, "request_id") == [f"r{number}" for number in range(5)]
    client.get("/pipes/active_users", headers={"X-Request-Id": "later"})
    assert recorded(shop, "request_id")[-1] == "later"
    assert dropped(client) == 3


def test_every_request_of_many_threads_is_stored_or_counted(
    make_shop: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_log, "MAX_WAITING", 1_000)
    shop = make_shop(utc_now)
    assert shop.request_log
    add = shop.request_log.add

    def many(thread: int) -> None:
        for number in range(2_000):
            add(record(thread * 10_000 + number))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(many, range(4)))
    request_ids = recorded(shop, "request_id")
    assert len(set(request_ids)) == len(request_ids) == 8_000 - shop.request_log.dropped
    assert len(request_ids) >= 1_000


def test_a_full_batch_is_stored_before_the_interval_ends(
    make_shop: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_log, "FLUSH_SECONDS", 60.0)
    monkeypatch.setattr(row_log, "BATCH_ROWS", 50)
    shop = make_shop(utc_now)
    assert shop.request_log
    for number in range(50):
        shop.request_log.add(record(number))
    until = time.monotonic() + 10
    while not (rows := recorded(shop, "request_id", flush=False)) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(rows) == 50


def test_requests_during_a_flush_wait_for_the_next_one(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a busy service would insert without pause, a few rows at a time."""
    insert, sizes = shop.warehouse.insert, []

    def insert_and_be_asked(table: str, lines: bytes, token: str = "") -> None:
        sizes.append(lines.count(b"\n"))
        if len(sizes) < 5 and shop.request_log:
            shop.request_log.add(record(100 + len(sizes)))
        insert(table, lines, token)

    assert shop.request_log
    shop.request_log.add(record(0))
    shop.request_log.add(record(1))
    monkeypatch.setattr(shop.warehouse, "insert", insert_and_be_asked)
    shop.request_log.flush()
    assert sizes == [2]
    shop.request_log.flush()
    assert sizes == [2, 1]
    monkeypatch.undo()
    assert recorded(shop, "request_id") == ["r0", "r1", "r101", "r102"]


def test_waiting_requests_are_stored_when_the_service_closes(
    make_shop: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_log, "FLUSH_SECONDS", 60.0)
    shop = make_shop(utc_now)
    monkeypatch.setattr(shop.warehouse, "close", lambda: None)  # to read it afterwards
    client = create_app(shop).test_client()
    assert client.get("/pipes/trending").status_code == 200
    assert recorded(shop, "pipe", flush=False) == []
    shop.close()
    assert recorded(shop, "pipe", flush=False) == ["trending"]
    monkeypatch.undo()


def test_a_failing_insert_is_logged_once_and_affects_no_request(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    insert = shop.warehouse.insert

    def refuse(table: str, lines: bytes, token: str = "") -> None:
        if table == "requests":
            raise NotStored("the disk is full")
        insert(table, lines, token)

    before = dropped(client)
    monkeypatch.setattr(shop.warehouse, "insert", refuse)
    for _ in range(3):
        assert client.get("/pipes/trending").status_code == 200
        assert recorded(shop, "pipe") == []
        assert client.post("/events?wait=true", json=VIEW).status_code == 200
    assert logged() == ["requests are not recorded: the disk is full"]
    assert dropped(client) == before + 3
    monkeypatch.undo()
    client.get("/pipes/trending")
    assert recorded(shop, "pipe") == ["trending"]
    assert logged()[1:] == [f"resumed recording requests; dropped since the start: {before + 3:.0f}"]


# The writer's tasks


def test_waiting_requests_do_not_fill_the_queue_of_events(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(utc_now, queue_rows=2)
    client = create_app(shop).test_client()
    assert shop.request_log
    for number in range(100):
        shop.request_log.add(record(number))
    busy_writer = BusyWriter(shop)
    with ThreadPoolExecutor(2) as threads:
        flushed = threads.submit(shop.request_log.flush)
        waits = threads.submit(create_app(shop).test_client().post, "/events", json=[VIEW, VIEW])
        until = time.monotonic() + 10
        while shop.writer.waiting < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert error_of(client.post("/events", json=VIEW))["code"] == "busy"
        busy_writer.go.set()
        assert waits.result(30).status_code == 202
        flushed.result(30)
    assert len(recorded(shop, "request_id")) == 100


def test_a_task_between_two_batches_leaves_the_catalogue_fresh(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alsobought.storage.catalogue.RELOAD_SECONDS", 60.0)  # no other reason to read it again
    busy_writer = BusyWriter(shop)
    item = shop.writer.submit(Submission([Item(item_id="brand-new", title="New")]))
    behind = shop.writer.run(MaintenanceTask(lambda: None))
    busy_writer.go.set()
    assert item.result(30).rows == 1
    behind.result(30)
    sql = f"select dictGet('{shop.warehouse.database}.catalogue', 'title', cityHash64('brand-new'))"
    assert shop.warehouse.value(sql) == "New"


def test_a_task_runs_in_order_between_events(shop: Service) -> None:
    view = Event(event_type="view", user_id="u", item_id="tea")
    busy_writer = BusyWriter(shop)
    before = shop.writer.submit(Submission([view]))
    count = shop.writer.run(MaintenanceTask(lambda: counts.append(len(stored(shop)))))
    after = shop.writer.submit(Submission([view, view]))
    counts: list[int] = []
    busy_writer.go.set()
    count.result(30)
    assert (before.result(30).rows, counts, after.result(30).rows) == (1, [1], 2)


def test_a_failing_task_raises_and_the_writer_continues(client: FlaskClient, shop: Service) -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        shop.writer.run(MaintenanceTask(fail)).result(30)
    assert client.post("/events?wait=true", json=VIEW).status_code == 200


def test_a_stopped_writer_fails_at_once(make_shop: Callable[..., Service], logged: Callable[[], list[str]]) -> None:
    shop = make_shop(utc_now)
    shop.writer.stop()
    assert create_app(shop).test_client().get("/pipes/trending").status_code == 200
    assert recorded(shop, "pipe") == []
    assert logged() == ["requests are not recorded: the writer has stopped"]
