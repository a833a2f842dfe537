"""A schema as a registry has it, with the schemas that it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

AVRO, PROTOBUF, JSON = "AVRO", "PROTOBUF", "JSON"
MAX_NAMED = 200  # schemas that one may name, by others too
AS_DESCRIPTOR = "serialized"  # Protobuf as bytes, so that nothing here reads its language

Decode = Callable[[bytes], bytes]
"""The JSON of a message without its header. Raises any exception for what is not of the schema."""


@dataclass(frozen=True)
class RegisteredSchema:
    """`named` are the schemas that it names, each after those that it names itself."""

    kind: str
    text: str
    named: dict[str, str] = field(default_factory=dict)


def fetch_schema(client: Any, number: int) -> RegisteredSchema:
    """Raises what the client raises."""
    schema, form = client.get_schema(number), None
    kind = schema.schema_type or AVRO
    if kind == PROTOBUF:
        client.clear_caches()  # which do not tell one form from the other
        form = AS_DESCRIPTOR
        schema = client.get_schema(number, fmt=form)
    fetched = RegisteredSchema(kind, schema.schema_str)
    _fetch_named(client, schema, form, fetched.named, set())
    return fetched


def _fetch_named(client: Any, schema: Any, form: str | None, named: dict[str, str], begun: set[str]) -> None:
    """Each name once: a registry whose schemas name each other in a circle is asked no further."""
    for reference in schema.references or ():
        if reference.name not in begun and len(begun) < MAX_NAMED:
            begun.add(reference.name)
            other = client.get_version(reference.subject, reference.version, True, form).schema
            _fetch_named(client, other, form, named, begun)
            named[reference.name] = other.schema_str
