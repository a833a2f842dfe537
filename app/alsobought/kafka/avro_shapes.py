"""Which Avro schemas let a short message stand for a value without end. Pure, and each type of a schema is looked at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Named = Mapping[str, Any]
"""The records, enumerations and fixed types of a parsed schema, by full name."""


class Shapes:
    """The types of a parsed schema.

    >>> node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    >>> Shapes({"Node": node}).is_recursive(node), Shapes({}).is_recursive({"type": "array", "items": "long"})
    (True, False)
    """

    def __init__(self, named: Named) -> None:
        self._named = named
        self._recursive: dict[str, bool] = {}
        self._takes_bytes: dict[str, bool] = {}

    def is_recursive(self, schema: Any) -> bool:
        """True if a type in it contains itself."""
        schema, name = self._resolved(schema)
        if name in self._recursive:
            return self._recursive[name]
        if name:
            self._recursive[name] = True  # what is met again inside itself
        recursive = any(self.is_recursive(part) for part in _parts(schema))
        if name:
            self._recursive[name] = recursive
        return recursive

    def require_bytes_per_item(self, schema: Any) -> None:
        """Raises ValueError for an array whose items take no bytes, of which a message of ten bytes has any number."""
        seen: set[str] = set()
        waiting = [schema]
        while waiting:
            schema, name = self._resolved(waiting.pop())
            if name in seen:
                continue
            seen.update([name] if name else [])
            if isinstance(schema, dict) and schema["type"] == "array" and not self._has_bytes(schema["items"]):
                raise ValueError(
                    "the items of an array take no bytes, so a short message could have any number of them"
                )
            waiting.extend(_parts(schema))

    def _has_bytes(self, schema: Any) -> bool:
        """True if each value takes a byte or more. For a record that every value of it contains, which nothing can be read as."""
        schema, name = self._resolved(schema)
        if name in self._takes_bytes:
            return self._takes_bytes[name]
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind in ("record", "error"):
            self._takes_bytes[name] = True
            self._takes_bytes[name] = any(self._has_bytes(field["type"]) for field in schema["fields"])
            return self._takes_bytes[name]
        return bool(schema["size"] if kind == "fixed" else kind != "null")

    def _resolved(self, schema: Any) -> tuple[Any, str]:
        """A schema, and its full name if it has one."""
        while isinstance(schema, dict) and isinstance(schema["type"], dict | list):
            schema = schema["type"]
        if isinstance(schema, str):
            return self._named.get(schema, schema), schema if schema in self._named else ""
        return schema, schema.get("name", "") if isinstance(schema, dict) else ""


def _parts(schema: Any) -> Iterator[Any]:
    """The schemas directly in one."""
    if isinstance(schema, list):
        yield from schema
    elif isinstance(schema, dict):
        yield from (field["type"] for field in schema.get("fields", ()))
        yield from (schema[part] for part in ("items", "values") if part in schema)
