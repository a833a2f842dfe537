"""Avro messages as JSON, by fastavro, which comes with the extra `registry`.

The deserializer of confluent-kafka also asks the registry for rules, and takes three times as long. A message of a schema that
contains itself may be nested without end: its C code would end the process, so the slower one in Python reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
import msgspec
from fastavro import _read_py as python_reader
from fastavro.read import LOGICAL_READERS

from alsobought.kafka.avro_shapes import Shapes
from alsobought.kafka.registered_schema import Decode, RegisteredSchema

MAX_DECIMAL_BYTES = 128  # 300 digits; for a million bytes the conversion takes a minute
ENCODER = msgspec.json.Encoder(decimal_format="number")


def avro_decoder(schema: RegisteredSchema) -> Decode:
    """Raises any exception for a schema that is not Avro."""
    named: dict[str, Any] = {}
    for text in schema.named.values():
        fastavro.parse_schema(msgspec.json.decode(text), named_schemas=named)
    parsed = fastavro.parse_schema(msgspec.json.decode(schema.text), named_schemas=named)
    shapes = Shapes(named)
    shapes.require_bytes_per_item(parsed)
    read = python_reader.schemaless_reader if shapes.is_recursive(parsed) else fastavro.schemaless_reader

    def decode(body: bytes) -> bytes:
        file = BytesIO(body)
        value = read(file, parsed, None)
        if rest := len(body) - file.tell():
            raise ValueError(f"{rest} bytes are left over")
        return ENCODER.encode(value)

    return decode


def _bounded(read_decimal: Callable[..., Any]) -> Callable[..., Any]:
    def read(data: bytes, *schemas: Any) -> Any:
        if len(data) > MAX_DECIMAL_BYTES:
            raise ValueError(f"a decimal has {len(data):,} bytes, more than {MAX_DECIMAL_BYTES}")
        return read_decimal(data, *schemas)

    return read


for _kind in ("bytes-decimal", "fixed-decimal"):
    LOGICAL_READERS[_kind] = _bounded(LOGICAL_READERS[_kind])
