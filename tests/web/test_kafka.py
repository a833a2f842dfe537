"""POST with Kafka: 202 once a message is appended, 503 if it may not be; `wait` until answers contain the event."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from flask.testing import FlaskClient

from alsobought.errors import WarehouseFault
from alsobought.kafka.consumer import TopicConsumer
from alsobought.service.service import Service, open_service
from alsobought.service.sinks import WriterSink
from alsobought.serving.visibility import Follower
from alsobought.web.factory import create_app
from alsobought.writer.submission import utc_now
from tests.support.brokers import Broker, broker
from tests.support.clickhouse_server import clickhouse_server
from tests.support.engines import Engine
from tests.support.kafka import Topics, until
from tests.support.process import free_port, running, serving
from tests.support.web import VIEW, buy, error_of, rejected, stored


@pytest.fixture
def topics(own_kafka: Broker) -> Topics:
    return Topics(own_kafka)


@pytest.fixture
def shop(make_shop: Callable[..., Service], topics: Topics) -> Service:
    """A service that appends posts to Kafka. Nothing consumes them unless the test does."""
    return make_shop(**topics.settings, queue_rows=3)


@pytest.fixture(scope="module")
def server() -> Iterator[Engine]:
    with clickhouse_server() as started:
        yield Engine(started.dsn)


@contextmanager
def consuming(shop: Service) -> Iterator[None]:
    """Meanwhile the service stores the messages of Kafka."""
    consumer = TopicConsumer(shop.writer, shop.settings)
    consumer.start()
    try:
        yield
    finally:
        consumer.stop()


def appended(topics: Topics, *, items: bool = False) -> list[tuple[int, str, dict[str, Any]]]:
    """Partition, key and value of every message."""
    topic = topics.settings["items_topic" if items else "events_topic"]
    with closing(Consumer({"bootstrap.servers": topics.broker.address, "group.id": topic})) as consumer:
        numbers = consumer.list_topics(topic, 10).topics[topic].partitions
        count = sum(_end(consumer, TopicPartition(topic, number)) for number in numbers)
        consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        messages: list[tuple[int, str, dict[str, Any]]] = []
        while len(messages) < count:
            received: list[Any] = consumer.consume(count - len(messages), 10)
            for message in received:
                assert not message.error()
                messages.append((message.partition(), message.key().decode(), json.loads(message.value())))
    return messages


def _end(consumer: Consumer, partition: TopicPartition) -> int:
    """The end of a log. The broker may not know the leader of a new topic at once."""
    for _ in range(50):
        with suppress(KafkaException):
            return int(consumer.get_watermark_offsets(partition, 10)[1])
        time.sleep(0.1)
    raise AssertionError(partition)


def viewed(client: FlaskClient, user: str = "u") -> list[str]:
    got = client.get(f"/pipes/recently_viewed?user_id={user}")
    return [row["item_id"] for row in json.loads(got.text)["data"]]


# Appending


def test_accepted_events_are_appended_with_a_timestamp_under_the_key_of_their_user(
    client: FlaskClient, shop: Service, topics: Topics
) -> None:
    long, time_ = "a-little-bit-long-string", "2025-12-31T10:00:00+02:00"
    got = client.post("/events", json=[VIEW | {"user_id": long}, VIEW | {"user_id": long, "timestamp": time_}])
    guest = {"event_type": "view", "session_id": "foobar", "item_id": "tea", "event_id": "e1"}
    assert (got.status_code, client.post("/events", json=guest).status_code) == (202, 202)
    body = json.loads(got.text)
    assert list(body) == ["accepted", "rejected", "rejected_total", "request_id"]
    assert (body["accepted"], body["rejected_total"]) == (2, 0)
    # the partitions of a Java client, whose tests have murmur2 of these keys
    assert sorted(appended(topics), key=lambda message: message[0]) == [
        (0, "foobar", guest | {"timestamp": "2026-01-01T12:00:00Z"}),
        (2, long, VIEW | {"user_id": long, "timestamp": "2026-01-01T12:00:00Z"}),
        (2, long, VIEW | {"user_id": long, "timestamp": time_}),
    ]
    assert stored(shop) == []


def test_items_are_appended_to_their_topic_under_their_id(client: FlaskClient, topics: Topics) -> None:
    assert client.post("/items", json=[{"item_id": "mug", "title": "Mug"}, {"item_id": "pot"}]).status_code == 202
    bodies = {key: body for _, key, body in appended(topics, items=True)}
    assert (bodies["mug"]["title"], bodies["pot"]["item_id"]) == ("Mug", "pot")


def test_valid_events_are_appended_and_the_others_reported(client: FlaskClient, topics: Topics) -> None:
    mixed = VIEW | {"user_id": "mixed"}
    got = client.post("/events", json=[mixed, mixed | {"quantity": -1}, mixed | {"item_id": "mug"}])
    assert (got.status_code, json.loads(got.text)["accepted"]) == (202, 2)
    assert rejected(got) == [(1, "quantity: expected `int` >= 0")]
    got = client.post("/events", json=mixed | {"quantity": -1})
    assert (got.status_code, error_of(got)["code"]) == (400, "bad_events")
    assert [body["item_id"] for _, _, body in appended(topics)] == ["tea", "mug"]


def test_an_event_too_large_for_the_consumer_is_rejected_before_anything_is_appended(
    make_shop: Callable[..., Service], topics: Topics
) -> None:
    client = create_app(make_shop(**topics.settings, max_event_bytes=100)).test_client()
    short, long = VIEW | {"user_id": "brief"}, VIEW | {"user_id": "brief", "session_id": "x" * 20}
    assert len(json.dumps(long)) <= 100
    got = client.post("/events", json=[short, long])
    assert (got.status_code, error_of(got)["code"]) == (413, "too_large")
    assert appended(topics) == []
    assert client.post("/events", json=short).status_code == 202


def test_a_full_queue_is_503_until_kafka_answers(client: FlaskClient, shop: Service, topics: Topics) -> None:
    full = VIEW | {"user_id": "full"}
    assert client.post("/events", json=full).status_code == 202
    with ThreadPoolExecutor(1) as threads:
        with topics.broker.frozen():
            first = threads.submit(create_app(shop).test_client().post, "/events", json=[full, full])
            until(lambda: json.loads(client.get("/readyz").text)["waiting"] == 2)
            got = client.post("/events", json=[full, full])
            assert (got.status_code, error_of(got)["code"]) == (503, "busy")
            assert int(got.headers["Retry-After"]) >= 1
        assert first.result().status_code == 202
    assert json.loads(client.get("/readyz").text)["waiting"] == 0
    assert client.post("/events", json=[full] * 10).status_code == 202, (
        "an idle producer accepts more than its limit of messages in flight"
    )
    assert len(appended(topics)) == 13
    page = client.get("/metrics").text
    assert 'alsobought_rows_total{kind="event",outcome="stored"} 11.0' in page
    assert 'alsobought_rows_total{kind="event",outcome="refused"} 2.0' in page


def test_the_error_of_a_request_that_fits_in_part_does_not_claim_that_nothing_was_appended(
    make_shop: Callable[..., Service], topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_shop(**topics.settings)
    monkeypatch.setitem(shop.sink._log._configuration, "queue.buffering.max.kbytes", 1)  # type: ignore[attr-defined]
    client = create_app(shop).test_client()
    got = client.post("/events", json=[VIEW | {"properties": {"text": "x" * 400}}] * 5)
    assert (got.status_code, error_of(got)["code"]) == (503, "busy")
    assert "same event_id" in error_of(got)["hint"]
    until(lambda: shop.waiting == 0)
    assert 0 < len(appended(topics)) < 5


def test_without_an_answer_of_kafka_it_is_503_and_an_event_sent_again_counts_once(
    client: FlaskClient, shop: Service, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(shop.sink._log._configuration, "delivery.timeout.ms", 1500)  # type: ignore[attr-defined]
    silent = VIEW | {"user_id": "silent", "event_id": "s1"}
    assert client.post("/events", json=VIEW).status_code == 202
    with topics.broker.frozen():
        got = client.post("/events", json=silent)
        assert (got.status_code, error_of(got)["code"]) == (503, "not_stored")
        assert "same event_id" in error_of(got)["hint"]
        assert int(got.headers["Retry-After"]) >= 1
        started = time.monotonic()
        assert client.post("/events", json=silent).status_code == 503
        assert time.monotonic() - started < 0.5, "while Kafka is unavailable, callers do not wait"
        assert client.get("/pipes/recently_viewed?user_id=u").status_code == 200
    until(lambda: client.post("/events", json=silent).status_code == 202)
    with consuming(shop):
        assert client.post("/events?wait=true", json=silent | {"event_id": "s2", "item_id": "mug"}).status_code == 200
    assert viewed(client, "silent") == ["mug", "tea"]
    assert stored(shop, "user_id, event_id").count(["silent", "s1"]) == 1


def test_a_producer_with_a_fatal_error_is_replaced(client: FlaskClient, shop: Service, topics: Topics) -> None:
    assert client.post("/events", json=VIEW).status_code == 202
    log = shop.sink._log  # type: ignore[attr-defined]
    broken = log._producer
    log._on_error(SimpleNamespace(fatal=lambda: True, str=lambda: "out of sequence"))
    assert client.post("/events", json=VIEW).status_code == 503
    until(lambda: client.post("/events", json=VIEW | {"item_id": "mug"}).status_code == 202)
    assert log._producer is not broken
    assert sorted(body["item_id"] for _, _, body in appended(topics)) == ["mug", "tea"]


# Waiting


def test_a_post_with_wait_is_answered_once_pipes_contain_the_event(client: FlaskClient, shop: Service) -> None:
    patient = VIEW | {"user_id": "patient", "event_id": "e0"}
    with consuming(shop):
        for number, item in enumerate(["tea", "mug", "pot"]):
            assert len(viewed(client, "patient")) == number, "this answer is cached"
            got = client.post("/events?wait=true", json=patient | {"event_id": f"e{number}", "item_id": item})
            assert (got.status_code, "visible" in json.loads(got.text)) == (200, False)
            assert viewed(client, "patient")[0] == item
        assert client.post("/events?wait=true", json=patient).status_code == 200, "a duplicate is not stored"
        assert client.post("/items?wait=true", json={"item_id": "tea", "title": "Green tea"}).status_code == 200
        rows = json.loads(client.get("/pipes/recently_viewed?user_id=patient").text)["data"]
        assert [row["title"] for row in rows if row["item_id"] == "tea"] == ["Green tea"]
    assert len(stored(shop)) == 3


def test_a_wait_that_times_out_is_202_with_a_hint_not_to_send_again(
    client: FlaskClient, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alsobought.service.sinks.STORE_SECONDS", 0.2)
    got = client.post("/events?wait=true", json=VIEW | {"user_id": "hasty"})
    body = json.loads(got.text)
    assert (got.status_code, body["accepted"], body["visible"]) == (202, 1, False)
    assert "do not send them again" in body["hint"]
    assert len(appended(topics)) == 1


def test_a_wait_continues_while_the_warehouse_is_unavailable(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [3]
    value = shop.warehouse.value

    def unavailable(*args: Any) -> Any:
        failures[0] -= 1
        if failures[0] >= 0:
            raise WarehouseFault("connection refused")
        return value(*args)

    monkeypatch.setattr(shop.warehouse, "value", unavailable)
    with consuming(shop):
        assert client.post("/events?wait=true", json=VIEW).status_code == 200
    assert failures[0] < 0


# Kafka becomes available and unavailable


@pytest.mark.journey
def test_a_service_starts_without_kafka_and_accepts_posts_once_it_is_available(tmp_path: Path) -> None:
    port = free_port()
    with serving(running(tmp_path / "data", ALSOBOUGHT_KAFKA=f"127.0.0.1:{port}")) as service:
        assert service.ask("/pipes/recently_viewed?user_id=u")[0] == 200
        assert service.ask("/readyz")[0] == 200
        status, body = service.ask("/events", VIEW)
        assert (status, body["error"]["code"]) == (503, "not_stored")
        with broker(port, ours=True):
            until(lambda: service.ask("/events", VIEW)[0] == 202, 60)
            assert service.ask("/events?wait=true", VIEW | {"item_id": "mug"})[0] == 200
            assert service.ask("/pipes/recently_viewed?user_id=u")[1]["data"][0]["item_id"] == "mug"
            service.stop()


@pytest.mark.thorough
def test_a_service_survives_a_kill_and_restart_of_kafka(tmp_path: Path) -> None:
    with (
        broker(ours=True) as kafka,
        serving(running(tmp_path / "data", ALSOBOUGHT_KAFKA=kafka.address)) as service,
    ):
        assert service.ask("/events?wait=true", VIEW | {"item_id": "mug"})[0] == 200
        kafka.kill()
        assert service.ask("/events", VIEW)[0] == 503
        assert service.ask("/pipes/recently_viewed?user_id=u")[1]["data"][0]["item_id"] == "mug"
        kafka.start()
        until(lambda: service.ask("/events", VIEW | {"item_id": "pot"})[0] == 202, 60)
        until(lambda: service.ask("/pipes/recently_viewed?user_id=u")[1]["data"][0]["item_id"] == "pot")
        assert service.stop() < 10


# Another process writes


@pytest.fixture
def two(server: Engine, topics: Topics, request: pytest.FixtureRequest) -> Iterator[tuple[Service, Service]]:
    """A service that writes, and one on the same database that only follows, once the test starts its follower."""
    writes = server.shop(request.node.name[:50], utc_now, **topics.settings)
    follows = open_service(writes.settings, writes=False)
    yield writes, follows
    follows.close()
    writes.close()


def caught_up(writes: Service, follows: Service) -> None:
    """Wait until the latest batch invalidates nothing any more."""
    assert isinstance(follows.visibility, Follower)
    follower, database = follows.visibility, writes.settings.database
    newest = writes.warehouse.value(f"select max(batch) from {database}.ingest_batches")
    until(lambda: follower._streams[0]._newest == newest and follower._streams[0]._settled, 5)


def direct(shop: Service) -> FlaskClient:
    """The endpoints of a service whose posts bypass Kafka."""
    return create_app(replace(shop, sink=WriterSink(shop.writer))).test_client()


def test_events_stored_by_another_process_invalidate_cached_answers(two: tuple[Service, Service]) -> None:
    writer, reader = direct(two[0]), create_app(two[1]).test_client()
    two[1].visibility.start()
    writer.post("/events", json=[VIEW | {"user_id": "first", "item_id": item} for item in ("tea", "mug", "pot")])
    buy(writer, "o1", "tea", "mug")
    time.sleep(1.5)  # the catalogue's second is over: from here on only tags invalidate
    partners = "/pipes/also_bought?item_id=tea"

    def rows(path: str) -> list[Any]:
        data = json.loads(reader.get(path).text)["data"]
        return [row["other_item_id"] for row in data if row["source"] == "also_bought"]

    assert (viewed(reader), viewed(reader, "bob"), rows(partners)) == ([], [], ["mug"])
    two[0].warehouse.command(f"truncate table {two[0].warehouse.database}.item_companions")
    writer.post("/events", json=VIEW)
    until(lambda: viewed(reader) == ["tea"], 5)
    assert rows(partners) != ["mug"], "it was invalidated by its item"
    writer.post("/events", json=VIEW | {"user_id": "bob"})
    until(lambda: viewed(reader, "bob") == ["tea"], 5)
    writer.post("/events", json=VIEW | {"user_id": "zoe"})  # invalidates bob, too: his batch was the latest
    caught_up(*two)
    assert viewed(reader, "bob") == ["tea"]
    two[0].warehouse.command(f"truncate table {two[0].warehouse.database}.user_history")
    writer.post("/events", json=VIEW | {"user_id": "eve", "item_id": "pot"})
    caught_up(*two)
    assert viewed(reader, "eve") == ["pot"]
    assert viewed(reader, "bob") == ["tea"], "nothing invalidated it"
    newest = two[0].writer.as_of
    assert newest
    until(lambda: json.loads(reader.get("/readyz").text)["as_of"] == newest.isoformat()[:23] + "Z", 5)
    (seconds,) = re.findall(r"^alsobought_as_of_seconds (\S+)$", reader.get("/metrics").text, re.M)
    assert float(seconds) == pytest.approx(newest.timestamp(), abs=0.001)


@pytest.mark.thorough
def test_an_order_that_grows_invalidates_the_answers_of_its_earlier_items(two: tuple[Service, Service]) -> None:
    writer, reader = direct(two[0]), create_app(two[1]).test_client()
    two[1].visibility.start()
    buy(writer, "o1", "tea", "mug")

    def partners() -> list[str]:
        return [
            row.get("other_item_id") for row in json.loads(reader.get("/pipes/also_bought?item_id=tea").text)["data"]
        ]

    until(lambda: partners() == ["mug"], 5)
    buy(writer, "o1", "pot")
    until(lambda: sorted(partners()) == ["mug", "pot"], 5)


@pytest.mark.thorough
def test_a_new_title_invalidates_cached_answers(two: tuple[Service, Service]) -> None:
    writer, reader = direct(two[0]), create_app(two[1]).test_client()
    two[1].visibility.start()
    writer.post("/events", json=VIEW)

    def title() -> str:
        rows = json.loads(reader.get("/pipes/recently_viewed?user_id=u").text)["data"]
        return rows[0]["title"] if rows else "none"

    until(lambda: title() == "", 5)
    for number in range(3):  # within the same second, too
        writer.post("/items", json={"item_id": "tea", "title": f"Tea {number}"})
        until(lambda: title() == f"Tea {number}", 5)  # noqa: B023


@pytest.mark.thorough
def test_an_answer_between_the_updates_of_two_tables_does_not_stay_cached(two: tuple[Service, Service]) -> None:
    """A batch is visible once one view has it; it invalidates again once no insert is in flight and all rows are made."""
    writer, reader = direct(two[0]), create_app(two[1]).test_client()
    follower = two[1].visibility
    assert isinstance(follower, Follower)
    users = f"{two[0].warehouse.database}.user_history"
    writer.post("/events", json=VIEW | {"user_id": "first"})
    time.sleep(1.1)  # the catalogue's second is over: from here on only tags invalidate
    follower._refresh(again=False)
    writer.post("/events", json=[VIEW, VIEW])
    follower._refresh(again=False)
    two[0].warehouse.command(f"create table {users}_late as {users}")
    two[0].warehouse.command(f"insert into {users}_late select * from {users}")
    two[0].warehouse.command(f"truncate table {users}")
    assert viewed(reader) == [], "user_history is late"
    other = two[0].warehouse.another()
    with ThreadPoolExecutor(1) as threads:
        events = f"{two[0].warehouse.database}.events"
        slow = threads.submit(other.command, f"insert into {events} select * from {events} where sleepEachRow(0.4)")
        until(lambda: follower._streams[0]._new_batches().inserts > 0)
        follower._refresh(again=False)
        assert not follower._streams[0]._settled, "an insert of events is in flight"
        two[0].warehouse.command(f"insert into {users} select * from {users}_late")
        assert viewed(reader) == [], "it is cached"
        slow.result()
    other.close()
    follower._refresh(again=False)
    assert follower._streams[0]._settled
    assert viewed(reader) == ["tea"]
    two[0].warehouse.command(f"drop table {users}_late")


@pytest.mark.thorough
def test_many_events_at_once_clear_the_cache(two: tuple[Service, Service], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alsobought.serving.visibility.MAX_NEW_EVENTS", 2)
    monkeypatch.setattr("alsobought.serving.visibility.Invalidator.__call__", lambda *_: None)
    writer, reader = direct(two[0]), create_app(two[1]).test_client()
    two[1].visibility.start()
    assert viewed(reader) == []
    writer.post("/events", json=[VIEW] * 3)
    until(lambda: viewed(reader) == ["tea"], 5)


def test_a_wait_in_another_process_than_the_writer_sees_the_event_too(two: tuple[Service, Service]) -> None:
    client = create_app(two[1]).test_client()
    two[1].visibility.start()
    with consuming(two[0]):
        for item in ("tea", "mug", "pot"):
            before = viewed(client, "beside")
            assert item not in before
            got = client.post("/events?wait=true", json=VIEW | {"user_id": "beside", "item_id": item})
            assert got.status_code == 200
            assert viewed(client, "beside") == [item, *before]


@pytest.mark.thorough
def test_requests_are_recorded_where_another_process_writes(two: tuple[Service, Service]) -> None:
    create_app(two[1]).test_client().get("/pipes/recently_viewed?user_id=recorded")
    assert two[1].request_log
    two[1].request_log.flush()
    recorded = two[1].warehouse.rows(f"select pipe, parameters from {two[1].warehouse.database}.requests").data
    assert recorded == [["recently_viewed", '{"user_id":["recorded"]}']]
