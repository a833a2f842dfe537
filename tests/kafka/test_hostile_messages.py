"""A message or a schema that is made to hold the reader becomes an error at once."""

from __future__ import annotations

from types import SimpleNamespace as Answer
from typing import Any

import msgspec
import pytest

from alsobought.kafka.avro_messages import avro_decoder
from alsobought.kafka.protobuf_messages import _message_indexes
from alsobought.kafka.registered_schema import AVRO, JSON, MAX_NAMED, Decode, RegisteredSchema, fetch_schema
from tests.support.registry import EVENT_SCHEMA

NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
NOTHING = {"type": "record", "name": "Nothing", "fields": [{"name": "void", "type": "null"}]}


def decoder(schema: object) -> Decode:
    return avro_decoder(RegisteredSchema(AVRO, msgspec.json.encode(schema).decode()))


def test_a_message_that_is_nested_without_end_does_not_end_the_process() -> None:
    decode = decoder({"type": "record", "name": "Event", "fields": [{"name": "category", "type": NODE}]})
    assert msgspec.json.decode(decode(b"\2\2\0")) == {"category": {"next": {"next": {"next": None}}}}
    with pytest.raises(RecursionError):
        decode(b"\2" * 300_000 + b"\0")


@pytest.mark.parametrize("items", ["null", NOTHING, {"type": "fixed", "name": "Empty", "size": 0}])
def test_a_schema_by_which_ten_bytes_are_any_number_of_items_is_refused(items: object) -> None:
    with pytest.raises(ValueError, match="take no bytes"):
        decoder(
            {"type": "record", "name": "Event", "fields": [{"name": "tags", "type": {"type": "array", "items": items}}]}
        )


def test_types_that_occur_often_are_looked_at_once() -> None:
    schema: dict[str, Any] = {"type": "record", "name": "R0", "fields": [{"name": "a", "type": "int"}]}
    for level in range(1, 40):
        fields = [{"name": "a", "type": schema}, {"name": "b", "type": f"R{level - 1}"}]
        schema = {"type": "record", "name": f"R{level}", "fields": fields}
    decoder({"type": "array", "items": schema})


def test_a_decimal_has_a_bounded_length() -> None:
    price = EVENT_SCHEMA["fields"][4]["type"][1]  # type: ignore[index]
    assert decoder(price)(b"\4\7\xc6") == b"19.90"
    with pytest.raises(ValueError, match="100,000 bytes, more than 128"):
        decoder(price)(b"\xc0\x9a\x0c" + b"\x7f" * 100_000)


def test_the_index_of_a_protobuf_message_has_a_bounded_length() -> None:
    with pytest.raises(ValueError, match="more than 10 bytes"):
        _message_indexes(b"\xff" * 1_000_000 + b"\1")


class Circle:
    """A registry whose schemas name the next one; of `length` the last names the first."""

    def __init__(self, length: int) -> None:
        self.length, self.asked = length, 0

    def get_schema(self, _: int) -> Answer:
        return self._schema(0)

    def get_version(self, subject: str, *_: object) -> Answer:
        self.asked += 1
        return Answer(schema=self._schema(int(subject)))

    def _schema(self, number: int) -> Answer:
        following = str((number + 1) % self.length)
        references = [Answer(name=following, subject=following, version=1)]
        return Answer(schema_type=JSON, schema_str="{}", references=references)


@pytest.mark.parametrize("length", [1, 3, 10**9])
def test_a_registry_whose_schemas_name_each_other_is_asked_a_bounded_number_of_times(length: int) -> None:
    client = Circle(length)
    fetch_schema(client, 7)
    assert client.asked == min(length, MAX_NAMED)
