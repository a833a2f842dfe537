"""Avro messages as JSON, by fastavro, which comes with the extra `registry`.

The deserializer of confluent-kafka also asks the registry for rules, and takes three times as long.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import fastavro
import msgspec

from alsobought.kafka.registered_schema import Decode, RegisteredSchema

ENCODER = msgspec.json.Encoder(decimal_format="number")


def avro_decoder(schema: RegisteredSchema) -> Decode:
    """Raises any exception for a schema that is not Avro."""
    named: dict[str, Any] = {}
    for text in schema.named.values():
        fastavro.parse_schema(msgspec.json.decode(text), named_schemas=named)
    parsed = fastavro.parse_schema(msgspec.json.decode(schema.text), named_schemas=named)

    def decode(body: bytes) -> bytes:
        file = BytesIO(body)
        value = fastavro.schemaless_reader(file, parsed, None)
        if rest := len(body) - file.tell():
            raise ValueError(f"{rest} bytes are left over")
        return ENCODER.encode(value)

    return decode
