"""Protobuf messages as JSON, with the fields' own names. A field at its default is not sent, and so is not given.

The registry has the schema as a descriptor, so no class has to be compiled. Enumerations are their names, times are ISO 8601,
and 64-bit integers stay numbers, other than in Protobuf's own JSON.
"""

from __future__ import annotations

import importlib
from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from alsobought.kafka.registered_schema import Decode, RegisteredSchema

MAIN = "schema.proto"
VARINT_BITS = 70  # of the longest one, in ten bytes
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMESTAMP, STRUCTS = "google.protobuf.Timestamp", ("google.protobuf.Struct", "google.protobuf.ListValue")
WRAPPERS = "google/protobuf/wrappers.proto"


def protobuf_decoder(schema: RegisteredSchema) -> Decode:
    """Raises any exception for a schema that is not a descriptor."""
    pool = DescriptorPool()
    added = set(schema.named)
    for name, text in [*schema.named.items(), (MAIN, schema.text)]:
        file = FileDescriptorProto.FromString(b64decode(text, validate=True))
        file.name = name
        for imported in file.dependency:
            _add_standard(pool, imported, added)
        pool.Add(file)
    descriptors = list(pool.FindFileByName(MAIN).message_types_by_name.values())

    def decode(body: bytes) -> bytes:
        indexes, at = _message_indexes(body)
        message = GetMessageClass(_descriptor(descriptors, indexes))()
        message.ParseFromString(body[at:])
        return msgspec.json.encode(_object(message))

    return decode


def _descriptor(descriptors: Sequence[Any], indexes: Sequence[int]) -> Any:
    for index in indexes[:-1]:
        descriptors = descriptors[index].nested_types
    return descriptors[indexes[-1]]


def _add_standard(pool: Any, name: str, added: set[str]) -> None:
    """Add one of Google's files, which the package brings, such as google/protobuf/timestamp.proto."""
    if name in added:
        return
    if not name.startswith(("google/protobuf/", "google/type/")):
        raise ValueError(f"it imports {name}, which the registry does not name")
    added.add(name)
    module = importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
    for other in module.DESCRIPTOR.dependencies:
        _add_standard(pool, other.name, added)
    pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)


def _message_indexes(body: bytes) -> tuple[Sequence[int], int]:
    """Which message of the file it is, as a path of indexes, and where it starts. A lone zero is the first of the file.

    >>> _message_indexes(b"\\0..."), _message_indexes(b"\\4\\2\\0...")
    (([0], 1), ([1, 0], 3))
    """
    count, at = _signed_varint(body, 0)
    indexes = []
    for _ in range(count):
        index, at = _signed_varint(body, at)
        indexes.append(index)
    return indexes or [0], at


def _signed_varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < VARINT_BITS:  # each byte more would copy all those before
        byte = body[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
    raise ValueError("a number of the message's index has more than 10 bytes")


def _object(message: Any) -> dict[str, Any]:
    """{field: value} of the fields that are set."""
    return {field.name: _field(field, value) for field, value in message.ListFields()}


def _field(field: Any, value: Any) -> Any:
    if field.message_type and field.message_type.GetOptions().map_entry:
        of = field.message_type.fields_by_name["value"]
        return {str(key): _value(of, value[key]) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_value(field, one) for one in value]
    return _value(field, value)


def _value(field: Any, value: Any) -> Any:
    if field.enum_type:
        named = field.enum_type.values_by_number.get(value)
        return named.name if named else value
    if not field.message_type:
        return value
    if field.message_type.full_name == TIMESTAMP:
        return EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    if field.message_type.file.name == WRAPPERS:
        return value.value
    if field.message_type.full_name in STRUCTS:
        return json_format.MessageToDict(value)
    return _object(value)
