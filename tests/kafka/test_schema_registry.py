"""Avro and Protobuf messages become the same events as JSON; a registry that is down makes no dead letter."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from alsobought.errors import Unusable
from alsobought.events import Rules
from alsobought.kafka.dead_letter_replay import decode_again, replay
from alsobought.kafka.dead_letters import DeadLetterFilter, newest_dead_letters
from alsobought.kafka.decoding import decode_events
from alsobought.kafka.schema_registry import RegistryUnavailable, SchemaRegistry, json_reader, without_registry
from alsobought.service.service import Service
from alsobought.settings import Settings
from alsobought.writer.submission import utc_now
from tests.kafka.test_consumer import consuming, outcomes, values
from tests.support.brokers import Broker
from tests.support.kafka import Topics, until
from tests.support.registry import EVENT_SCHEMA, Registry, avro, framed, schema_registry

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RULES = Rules(NOON)
SHOWN = {"recommendation_id": "AZt4__kA8BMRSyZDBWaJnPnJg2FwSi2N", "position": 3}
EVENT = {
    "event_type": "purchase",
    "user_id": "ada",
    "item_id": "tea",
    "price": Decimal("19.90"),
    "timestamp": NOON,
    **SHOWN,
}
RENTING = frozenset({"rent", "purchase"})
EVENT_JSON = {**EVENT, "price": 19.9, "timestamp": "2026-01-01T12:00:00Z"}


@pytest.fixture
def registry() -> Iterator[Registry]:
    with schema_registry() as started:
        started.add_avro(7, EVENT_SCHEMA)
        yield started


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(registry: Registry, clock: Callable[[], float] = Clock(), **settings: str) -> SchemaRegistry:  # noqa: B008
    return SchemaRegistry(Settings(registry=registry.address, **settings), clock=clock)  # type: ignore[arg-type]


def given(result: bytes | str) -> dict[str, Any]:
    """The fields of a message that are not null."""
    assert isinstance(result, bytes), result
    return {name: value for name, value in msgspec.json.decode(result).items() if value is not None}


def test_an_avro_message_is_the_event_of_its_json(registry: Registry) -> None:
    reader = opened(registry)
    body = reader.to_json(avro(7, EVENT))
    assert given(body) == EVENT_JSON
    assert decode_events(body, RULES) == decode_events(msgspec.json.encode(EVENT_JSON), RULES)  # type: ignore[arg-type]
    assert reader.to_json(b'{"event_type": "view"}') == b'{"event_type": "view"}'
    reader.to_json(avro(7, EVENT))
    assert len(registry.requests) == 1
    wrong = reader.to_json(avro(7, {**EVENT, "event_type": "buy"}))
    assert str(decode_events(wrong, RULES)).startswith("event_type: 'buy' is not one of")  # type: ignore[arg-type]


def test_a_schema_may_name_others(registry: Registry) -> None:
    shop = {"type": "record", "name": "Shop", "namespace": "a", "fields": [{"name": "name", "type": "string"}]}
    visit = {"type": "record", "name": "Visit", "namespace": "a", "fields": [{"name": "shop", "type": "a.Shop"}]}
    outer = {"type": "record", "name": "Outer", "namespace": "a", "fields": [{"name": "visit", "type": "a.Visit"}]}
    registry.versions["a.Shop"] = {
        "subject": "a.Shop",
        "id": 1,
        "version": 1,
        "schema": msgspec.json.encode(shop).decode(),
    }
    registry.versions["a.Visit"] = {
        "subject": "a.Visit",
        "id": 2,
        "version": 1,
        "schema": msgspec.json.encode(visit).decode(),
        "references": [{"name": "a.Shop", "subject": "a.Shop", "version": 1}],
    }
    registry.add_avro(9, outer, "a.Visit")
    assert given(opened(registry).to_json(framed(9, b"\x06tea"))) == {"visit": {"shop": {"name": "tea"}}}


def test_a_json_message_of_the_registry_is_its_body(registry: Registry) -> None:
    registry.schemas[8] = {"schema": "{}", "schemaType": "JSON"}
    body = msgspec.json.encode({"event_type": "click", "user_id": "ada", "item_id": "tea", **SHOWN})
    assert opened(registry).to_json(framed(8, body)) == body
    (event,) = decode_events(body, RULES).events  # type: ignore[union-attr]
    brought_back = {"recommendation_id": event.recommendation_id, "position": event.position}
    assert brought_back == SHOWN


def proto() -> FileDescriptorProto:
    """Of `message Other {}` and `message Outer { message Event {…} }`."""
    kind = FieldDescriptorProto
    file = FileDescriptorProto(name="event.proto", syntax="proto3", dependency=["google/protobuf/timestamp.proto"])
    file.message_type.add(name="Other")
    event = file.message_type.add(name="Outer").nested_type.add(name="Event")
    enumeration = event.enum_type.add(name="Type")
    for number, name in enumerate(("unset", "purchase")):
        enumeration.value.add(name=name, number=number)
    for number, (name, of, named) in enumerate(
        [
            ("event_type", kind.TYPE_ENUM, ".Outer.Event.Type"),
            ("user_id", kind.TYPE_STRING, ""),
            ("quantity", kind.TYPE_INT64, ""),
            ("timestamp", kind.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
            ("properties", kind.TYPE_MESSAGE, ".Outer.Event.PropertiesEntry"),
            ("tags", kind.TYPE_STRING, ""),
            ("recommendation_id", kind.TYPE_STRING, ""),
            ("position", kind.TYPE_UINT32, ""),
        ],
        1,
    ):
        many = name in ("properties", "tags")
        label = kind.LABEL_REPEATED if many else kind.LABEL_OPTIONAL
        event.field.add(name=name, number=number, type=of, type_name=named or None, label=label)
    entry = event.nested_type.add(name="PropertiesEntry")
    entry.options.map_entry = True
    for number, name in enumerate(("key", "value"), 1):
        entry.field.add(name=name, number=number, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
    return file


def test_a_protobuf_message_is_json_with_the_names_of_its_fields(registry: Registry) -> None:
    file = proto()
    serialized = base64.b64encode(file.SerializeToString()).decode()
    registry.schemas[3] = {"schema": serialized, "schemaType": "PROTOBUF"}
    from google.protobuf import timestamp_pb2

    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    message = GetMessageClass(pool.FindMessageTypeByName("Outer.Event"))()
    message.event_type, message.user_id, message.quantity = 1, "ada", 2**40
    message.timestamp.FromDatetime(NOON)
    message.properties["site"] = "berlin"
    message.tags.extend(["a", "b"])
    message.recommendation_id, message.position = SHOWN["recommendation_id"], SHOWN["position"]
    body = opened(registry).to_json(framed(3, b"\x04\x02\x00" + message.SerializeToString()))
    assert given(body) == {
        "event_type": "purchase",
        "user_id": "ada",
        "quantity": 2**40,
        "timestamp": "2026-01-01T12:00:00Z",
        "properties": {"site": "berlin"},
        "tags": ["a", "b"],
        **SHOWN,
    }
    assert any("format=serialized" in request for request in registry.requests)
    assert given(opened(registry).to_json(framed(3, b"\0"))) == {}  # the first message, with nothing set


def test_what_can_never_be_decoded_has_a_reason(registry: Registry) -> None:
    registry.schemas |= {1: {"schema": '{"type": "nonsense"}'}, 2: {"schema": "", "schemaType": "THRIFT"}}
    registry.schemas[3] = {"schema": "syntax = 'proto3';", "schemaType": "PROTOBUF"}
    reader = opened(registry)
    assert str(reader.to_json(framed(1, b""))).startswith("schema 1 cannot be read: UnknownType: ")
    assert reader.to_json(framed(2, b"")) == "schema 2 is of the type THRIFT, not AVRO, PROTOBUF or JSON"
    assert str(reader.to_json(framed(3, b""))).startswith("schema 3 cannot be read: ")
    assert str(reader.to_json(avro(7, EVENT)[:-4])).startswith("not a message of its schema 7: ")
    assert (
        reader.to_json(avro(7, EVENT) + b"rest") == "not a message of its schema 7: ValueError: 4 bytes are left over"
    )
    assert without_registry(framed(5, b"")) == "has schema 5 of a registry: set ALSOBOUGHT_REGISTRY to its address"


def test_a_registry_that_is_down_is_waited_for(registry: Registry) -> None:
    reader = opened(registry)
    for registry.status in (500, 503, 429):
        with pytest.raises(RegistryUnavailable, match=f"answered {registry.status}"):
            reader.to_json(avro(7, EVENT))
    registry.status = 0
    assert given(reader.to_json(avro(7, EVENT))) == EVENT_JSON
    nowhere = SchemaRegistry(Settings(registry="http://127.0.0.1:1"))
    with pytest.raises(RegistryUnavailable, match=r"does not answer: .*Is ALSOBOUGHT_REGISTRY right"):
        nowhere.to_json(avro(7, EVENT))


def test_a_user_of_the_registry_is_let_in_or_named(registry: Registry) -> None:
    registry.credentials = "ann:s3cret:of#hers"
    opened(registry, registry_user="ann", registry_password="s3cret:of#hers").check()  # noqa: S106
    with pytest.raises(RegistryUnavailable, match=r"refused this user\. Are ALSOBOUGHT_REGISTRY_USER and"):
        opened(registry, registry_user="ann", registry_password="nope").check()  # noqa: S106


def test_an_unknown_schema_is_waited_for_a_minute_and_then_a_reason(registry: Registry, clock: Clock) -> None:
    reader = opened(registry, clock)
    for clock.seconds in (0.0, 59.0):
        with pytest.raises(
            RegistryUnavailable, match=r"schema 4 is not in the registry at .*: its messages become dead"
        ):
            reader.to_json(framed(4, b""))
    clock.seconds = 61.0
    assert reader.to_json(framed(4, b"")) == "schema 4 is not in the registry"
    assert reader.to_json(framed(5, b"")) == "schema 5 is not in the registry", "noise would halt the topic"
    asked = len(registry.requests)
    reader.to_json(framed(4, b""))
    assert len(registry.requests) == asked
    registry.add_avro(4, EVENT_SCHEMA)
    clock.seconds = 72.0
    assert given(reader.to_json(avro(4, EVENT))) == EVENT_JSON


def test_without_its_packages_the_registry_is_an_error_that_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(Unusable, match=r"ALSOBOUGHT_REGISTRY needs packages .*`pip install 'alsobought\[registry\]'"):
        json_reader(Settings(registry="http://127.0.0.1:1"))
    assert json_reader(Settings()) is without_registry


@pytest.mark.journey
def test_avro_and_json_in_one_topic_go_the_same_way_and_dead_letters_are_replayed(
    kafka: Broker, registry: Registry, make_shop: Callable[..., Service]
) -> None:
    topics = Topics(kafka)
    shop = make_shop(utc_now, **topics.settings, registry=registry.address)
    topics.create()
    at = utc_now() - timedelta(minutes=1)
    event = {**EVENT, "timestamp": at}
    registry.status = 503
    topics.send(
        avro(7, event),
        avro(7, {**event, "event_type": "rent"}),
        {"event_type": "view", "user_id": "bo", "item_id": "pot"},
    )
    topics.send(avro(7, event) + b"\xff", partition=0)
    with consuming(shop) as consumer:
        until(lambda: "answered 503" in str(consumer.error))
        assert consumer.totals.messages == 0
        registry.status = 0
        until(lambda: consumer.totals.messages == 4)
    assert outcomes(shop) == [4, 2, 0, 2]
    sql = "select event_type, user_id, price, item_id from {db}.events order by user_id"
    assert values(shop, sql) == [["purchase", "ada", 19.9, "tea"], ["view", "bo", 0, "pot"]]
    letters = newest_dead_letters(shop.warehouse, DeadLetterFilter(), 9)
    assert {letter.message for letter in letters} == {
        avro(7, {**event, "event_type": "rent"}),
        avro(7, event) + b"\xff",
    }
    later = msgspec.structs.replace(shop.settings, event_types="rent")
    assert len(decode_again(letters, Rules(utc_now(), event_types=RENTING), later)[1]) == 1
    rejected: list[str] = []
    rules = Rules(utc_now(), event_types=RENTING)
    report = replay(shop.writer, letters, rules, lambda _, reason: rejected.append(reason))
    assert (report.replayed, report.stored, len(rejected)) == (1, 1, 1)
    assert values(shop, "select count() from {db}.events where event_type = 'rent'") == [[1]]
