"""Every request to a pipe is a row in `requests`, written behind the request's back; what finds no room is counted."""

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
from alsobought.events import Event, Item
from alsobought.service.service import Service
from alsobought.serving import request_log
from alsobought.serving.answers import answer
from alsobought.serving.request_log import MAX_PARAMETERS, Asked
from alsobought.settings import Settings
from alsobought.web.factory import create_app
from alsobought.writer.submission import MaintenanceTask, Submission, utc_now
from tests.support.web import AWKWARD, VIEW, buy, emptied, error_of, stored


@pytest.fixture(scope="module")
def filled(make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop(utc_now)  # rows of long ago would go


@pytest.fixture
def shop(filled: Service) -> Service:
    """The shop of this module, emptied."""
    return emptied(filled)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What the recorder has logged."""
    with caplog.at_level(logging.INFO, "alsobought.serving.request_log"):
        yield lambda: [one.getMessage() for one in caplog.records if one.name == "alsobought.serving.request_log"]


def recorded(shop: Service, columns: str, *, flush: bool = True) -> list[Any]:
    """These columns of the rows, in the order of the requests; one column as plain values."""
    if flush and shop.request_log:
        shop.request_log.flush()
    sql = f"select {columns} from {shop.warehouse.database}.requests order by time, request_id"
    read = shop.warehouse.trusted_rows if flush else shop.warehouse.rows  # else the writer may be at its connection
    rows = read(sql).data
    return rows if "," in columns else [row[0] for row in rows]


def asked(number: int = 0) -> Asked:
    return Asked(utc_now(), f"r{number}", "trending", "v", b"{}", 200, "", 0.001, None)


# A row


def test_a_request_is_a_row_a_second_later(client: FlaskClient, shop: Service) -> None:
    buy(client, "o1", "tea", "mug", "cup")
    before = datetime.now(UTC)
    got = client.get("/pipes/also_bought?item_id=tea&limit=7", headers={"X-Request-Id": "one"})
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
        "request_id": "one",
        "pipe": "also_bought",
        "version": body["pipe"]["version"],
        "fallback": "",
        "parameters": '{"item_id":["tea"],"limit":["7"]}',
        "item_ids": [one["other_item_id"] for one in body["data"]],
        "rows": 2,
        "status": 200,
        "error": "",
        "rows_read": body["statistics"]["rows_read"],
        "bytes_read": body["statistics"]["bytes_read"],
        "kept": False,
    }
    assert row["rows_read"] > 0


def test_what_was_shown_is_there_in_order_whichever_pipe_said_it(client: FlaskClient, shop: Service) -> None:
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
    assert rows[2][:3] == ["also_bought", "trending", [one["other_item_id"] for one in bodies[2]["data"]]]
    assert sorted(rows[2][2]) == ["cup", "mug", "tea"]
    assert rows[3] == ["active_users", "", [], 1], "its rows are no items"


@pytest.mark.parametrize(
    "body",
    [
        {"item_id": AWKWARD},
        {"item_id": ["tea", "mug", "tea"], "limit": 3},
        {"item_id": "tea", "limit": "3", "category": '{"a": [1]}'},
        {"item_id": "8", "category": "\u2028\x7f\\u0000"},
    ],
)
def test_recorded_parameters_ask_exactly_the_same_again(
    client: FlaskClient, shop: Service, body: dict[str, Any]
) -> None:
    buy(client, "o1", "tea", "mug", "8", AWKWARD)
    first = json.loads(client.post("/pipes/also_bought", json=body).text)
    (row,) = recorded(shop, "pipe, parameters, item_ids")
    given = json.loads(row[1])
    assert given == {name: value if isinstance(value, list) else [value] for name, value in body.items()}
    again = answer(shop.library, shop.warehouse, row[0], given, shop.clock())
    assert [one["other_item_id"] for one in again.dicts()] == row[2] == [one["other_item_id"] for one in first["data"]]


@pytest.mark.parametrize(
    "value", [0, -1, 1.0, 0.1, 2**53 + 1, 2**64 - 1, 10**40, 1e300, True, [], ["a", 1], {"a": None}]
)
def test_recorded_parameters_keep_the_kind_of_every_value(client: FlaskClient, shop: Service, value: Any) -> None:
    """Also of values that were refused: a newer text may take them."""
    assert client.post("/pipes/trending", json={"limit": value, "item_id": "x"}).status_code in (200, 400)
    (text,) = recorded(shop, "parameters")
    assert repr(json.loads(text)["limit"]) == repr(value if isinstance(value, list) else [value])


def test_parameters_that_are_too_long_are_left_out_whole(client: FlaskClient, shop: Service) -> None:
    for number, length in enumerate((MAX_PARAMETERS // 2, MAX_PARAMETERS)):
        client.post("/pipes/trending", json={"category": "x" * length}, headers={"X-Request-Id": f"r{number}"})
    kept, left_out = recorded(shop, "parameters")
    assert (len(json.loads(kept)["category"][0]), left_out) == (MAX_PARAMETERS // 2, "")


def test_a_kept_answer_is_a_row_that_read_nothing(client: FlaskClient, shop: Service) -> None:
    buy(client, "o1", "tea", "mug")
    bodies = [json.loads(client.get("/pipes/also_bought?item_id=tea").text) for _ in range(3)]
    assert bodies[0]["data"] == bodies[2]["data"]
    rows = recorded(shop, "kept, rows_read > 0, bytes_read > 0, item_ids, version")
    version = bodies[0]["pipe"]["version"]
    assert rows == [[False, 1, 1, ["mug"], version], *[[True, 0, 0, ["mug"], version]] * 2]


def test_refusals_and_faults_are_rows_with_their_code(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_what_is_not_a_request_to_a_pipe_is_no_row(client: FlaskClient, shop: Service) -> None:
    client.get("/pipes/made_up")
    client.get("/pipes/trending.made_up")
    client.get("/pipes")
    client.post("/events", json=VIEW)
    assert recorded(shop, "pipe") == []


def test_cases_are_not_recorded() -> None:
    with case_runner(Settings()) as runner:
        assert runner.run("trending", Case("has nothing", answer=[])) == ""
        assert recorded(runner.service, "pipe") == []


def test_nothing_is_recorded_where_the_setting_says_so(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(utc_now, record_requests=False)
    client = create_app(shop).test_client()
    assert client.get("/pipes/trending").status_code == 200
    assert recorded(shop, "pipe") == []
    assert "requests_dropped" not in client.get("/metrics").text


def test_rows_older_than_ninety_days_go(make_shop: Callable[..., Service]) -> None:
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
        one for one in client.get("/metrics").text.splitlines() if one.startswith("alsobought_requests_dropped_")
    ]
    return float(line.split()[1])


class Slow:
    """A writer that is busy until it is let go."""

    def __init__(self, shop: Service) -> None:
        self.go, reached = threading.Event(), threading.Event()

        def busy() -> None:
            reached.set()
            self.go.wait(30)

        self.done = shop.writer.run(MaintenanceTask(busy))
        assert reached.wait(30)


def test_what_finds_no_room_is_dropped_and_counted_and_nobody_waits(
    make_shop: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "MOST_WAITING", 5)
    monkeypatch.setattr(request_log, "EVERY_SECONDS", 60.0)
    shop = make_shop(utc_now)
    client = create_app(shop).test_client()
    slow = Slow(shop)
    assert dropped(client) == 0
    for number in range(8):
        assert client.get("/pipes/active_users", headers={"X-Request-Id": f"r{number}"}).status_code == 200
    assert dropped(client) == 3
    slow.go.set()
    assert recorded(shop, "request_id") == [f"r{number}" for number in range(5)]
    client.get("/pipes/active_users", headers={"X-Request-Id": "later"})
    assert recorded(shop, "request_id")[-1] == "later"
    assert dropped(client) == 3


def test_of_many_threads_every_request_is_stored_or_counted(
    make_shop: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "MOST_WAITING", 1_000)
    shop = make_shop(utc_now)
    assert shop.request_log
    note = shop.request_log.note

    def many(thread: int) -> None:
        for number in range(2_000):
            note(asked(thread * 10_000 + number))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(many, range(4)))
    found = recorded(shop, "request_id")
    assert len(set(found)) == len(found) == 8_000 - shop.request_log.dropped
    assert len(found) >= 1_000


def test_many_are_handed_on_before_the_second_is_over(
    make_shop: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "EVERY_SECONDS", 60.0)
    monkeypatch.setattr(request_log, "BATCH_ROWS", 50)
    shop = make_shop(utc_now)
    assert shop.request_log
    for number in range(50):
        shop.request_log.note(asked(number))
    until = time.monotonic() + 10
    while not (rows := recorded(shop, "request_id", flush=False)) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(rows) == 50


def test_what_comes_while_rows_are_stored_waits_for_the_next_time(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a busy service would store without a pause, a few rows at a time."""
    insert, sizes = shop.warehouse.insert, []

    def insert_and_be_asked(table: str, lines: bytes, token: str = "") -> None:
        sizes.append(lines.count(b"\n"))
        if len(sizes) < 5 and shop.request_log:
            shop.request_log.note(asked(100 + len(sizes)))
        insert(table, lines, token)

    assert shop.request_log
    shop.request_log.note(asked(0))
    shop.request_log.note(asked(1))
    monkeypatch.setattr(shop.warehouse, "insert", insert_and_be_asked)
    shop.request_log.flush()
    assert sizes == [2]
    shop.request_log.flush()
    assert sizes == [2, 1]
    monkeypatch.undo()
    assert recorded(shop, "request_id") == ["r0", "r1", "r101", "r102"]


def test_what_is_waiting_is_stored_when_the_shop_closes(
    make_shop: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "EVERY_SECONDS", 60.0)
    shop = make_shop(utc_now)
    monkeypatch.setattr(shop.warehouse, "close", lambda: None)  # to look into it afterwards
    client = create_app(shop).test_client()
    assert client.get("/pipes/trending").status_code == 200
    assert recorded(shop, "pipe", flush=False) == []
    shop.close()
    assert recorded(shop, "pipe", flush=False) == ["trending"]
    monkeypatch.undo()


def test_a_warehouse_that_refuses_is_logged_once_and_hurts_nobody(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
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
    assert said() == ["requests are not recorded: the disk is full"]
    assert dropped(client) == before + 3
    monkeypatch.undo()
    client.get("/pipes/trending")
    assert recorded(shop, "pipe") == ["trending"]
    assert said()[1:] == [f"requests are recorded again; dropped since the start: {before + 3:.0f}"]


# The writer's tasks


def test_requests_that_wait_for_the_writer_take_no_room_from_events(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(utc_now, queue_rows=2)
    client = create_app(shop).test_client()
    assert shop.request_log
    for number in range(100):
        shop.request_log.note(asked(number))
    slow = Slow(shop)
    with ThreadPoolExecutor(2) as threads:
        flushed = threads.submit(shop.request_log.flush)
        waits = threads.submit(create_app(shop).test_client().post, "/events", json=[VIEW, VIEW])
        until = time.monotonic() + 10
        while shop.writer.waiting < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert error_of(client.post("/events", json=VIEW))["code"] == "busy"
        slow.go.set()
        assert waits.result(30).status_code == 202
        flushed.result(30)
    assert len(recorded(shop, "request_id")) == 100


def test_an_errand_between_two_batches_leaves_the_catalogue_fresh(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alsobought.storage.catalogue.RELOAD_SECONDS", 60.0)  # no other reason to read it again
    slow = Slow(shop)
    known = shop.writer.submit(Submission([Item(item_id="brand-new", title="New")]))
    behind = shop.writer.run(MaintenanceTask(lambda: None))
    slow.go.set()
    assert known.result(30).rows == 1
    behind.result(30)
    sql = f"select dictGet('{shop.warehouse.database}.catalogue', 'title', cityHash64('brand-new'))"
    assert shop.warehouse.value(sql) == "New"


def test_an_errand_is_done_in_its_turn_between_events(shop: Service) -> None:
    view = Event(event_type="view", user_id="u", item_id="tea")
    slow = Slow(shop)
    before = shop.writer.submit(Submission([view]))
    count = shop.writer.run(MaintenanceTask(lambda: counts.append(len(stored(shop)))))
    after = shop.writer.submit(Submission([view, view]))
    counts: list[int] = []
    slow.go.set()
    count.result(30)
    assert (before.result(30).rows, counts, after.result(30).rows) == (1, [1], 2)


def test_an_errand_that_fails_is_told_and_the_writer_lives(client: FlaskClient, shop: Service) -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        shop.writer.run(MaintenanceTask(fail)).result(30)
    assert client.post("/events?wait=true", json=VIEW).status_code == 200


def test_a_writer_that_has_stopped_refuses_at_once(
    make_shop: Callable[..., Service], said: Callable[[], list[str]]
) -> None:
    shop = make_shop(utc_now)
    shop.writer.stop()
    assert create_app(shop).test_client().get("/pipes/trending").status_code == 200
    assert recorded(shop, "pipe") == []
    assert said() == ["requests are not recorded: the writer has stopped"]
