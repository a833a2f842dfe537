"""JSON Schemas for the OpenAPI document: of ClickHouse's types, of parameters, and of the bodies that are always the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from alsobought.pipes.parameters import INTEGERS, MAX_LENGTH, MAX_VALUES, Parameter
from alsobought.pipes.types import said

NULL = {"type": "null"}
TEXT, WHOLE, TRUTH = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
SIMPLE: dict[str, dict[str, Any]] = {
    r"U?Int(64|128|256)|Interval\w+": {"type": ["integer", "string"]},  # a string beyond 2^53
    r"U?Int(8|16|32)": WHOLE,
    r"B?Float\d+": {"type": ["number", "null"]},  # null stands for what is no number: 0 / 0
    r"Decimal.*": {"type": "number"},
    r"Bool": TRUTH,
    r"Date(32)?": {"type": "string", "format": "date"},
    r"DateTime.*": {"type": "string", "format": "date-time"},
    r"String|FixedString.*|Enum.*|UUID|IPv[46]": TEXT,
    r"Nothing": NULL,
}

RE2_ONLY = re.compile(r"\(\?(?!:)|\\[ACQpPzaZ]|\[\[:")
"""What a browser's regular expressions do not know, or read otherwise."""


def column_schema(kind: str) -> dict[str, Any]:
    """The values of a ClickHouse type as an answer has them; anything at all for a type that is not listed.

    >>> column_schema("Array(Nullable(String))")
    {'type': 'array', 'items': {'type': ['string', 'null']}}
    """
    outer, _, inner = kind.partition("(")
    inner = inner.removesuffix(")")
    if outer == "Nullable":
        return either(column_schema(inner), NULL)
    if outer == "LowCardinality":
        return column_schema(inner)
    if outer == "Array":
        return {"type": "array", "items": column_schema(inner)}
    if outer == "Map":
        return {"type": "object", "additionalProperties": column_schema(list(_parts(inner))[-1])}
    if outer == "Tuple":
        return _tuple_schema(inner)
    return next((schema for pattern, schema in SIMPLE.items() if re.fullmatch(pattern, kind)), {})


def _tuple_schema(inner: str) -> dict[str, Any]:
    named = [re.fullmatch(r"(\w+|`[^`]+`) (.+)", part, re.S) for part in _parts(inner)]
    fields = {one[1].strip("`"): column_schema(one[2]) for one in named if one}
    if len(fields) < len(named):
        return {"type": "array", "items": {}}
    return {"type": "object", "properties": fields, "required": list(fields)}


def _parts(text: str) -> Iterator[str]:
    """What commas part, but not those within brackets or quotes."""
    depth, quoted, start = 0, False, 0
    for place, letter in enumerate(text):
        quoted ^= letter == "'"
        depth += 0 if quoted else {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth and not quoted:
            yield text[start:place].strip()
            start = place + 1
    yield text[start:].strip()


def either(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that is of one of these.

    >>> either({"type": "string"}, {"type": "null"})
    {'type': ['string', 'null']}
    """
    if one == other or not one:
        return one
    if not other:
        return other
    if "type" in one and (other == NULL or set(one) == set(other) == {"type"}):
        return one | {"type": list(dict.fromkeys([*_types(one), *_types(other)]))}
    return {"anyOf": [one, other]}


def _types(schema: Mapping[str, Any]) -> list[str]:
    found = schema["type"]
    return found if isinstance(found, list) else [found]


def in_query(parameter: Parameter) -> dict[str, Any]:
    """A parameter as the address has it: a repeated one is an array."""
    return _several(parameter) if parameter.repeated else value_schema(parameter)


def in_body(parameter: Parameter) -> dict[str, Any]:
    """A parameter as a JSON object has it: one value may stand for several, null for none."""
    schema = in_query(parameter)
    if parameter.repeated:
        schema = {"anyOf": [schema, value_schema(parameter)]}
    if parameter.required:
        return schema
    if "anyOf" in schema:
        return {"anyOf": [*schema["anyOf"], NULL]}
    optional = either(schema, NULL)
    return optional | {"enum": [*schema["enum"], None]} if "enum" in schema else optional


def _several(parameter: Parameter) -> dict[str, Any]:
    least = {"minItems": 1} if parameter.required else {}
    assumed = {} if parameter.default is None else {"default": parameter.assumed}
    return {"type": "array", "items": value_schema(parameter), **least, "maxItems": MAX_VALUES, **assumed}


def value_schema(parameter: Parameter) -> dict[str, Any]:
    """One value of a parameter."""
    low, high = parameter.bounds()
    formats = {"Date": "date", "DateTime": "date-time"}
    kind = {"Float64": "number", "Bool": "boolean", **dict.fromkeys(INTEGERS, "integer")}.get(parameter.type, "string")
    numbers = kind in ("number", "integer")
    extras = {
        "format": formats.get(parameter.type),
        "default": None if parameter.repeated else parameter.default,
        "minimum": low if numbers else None,
        "maximum": high if numbers else None,
        "enum": list(parameter.choices) or None,
        "description": _in_words(parameter) or None,
        **(_of_text(parameter) if parameter.type == "String" and not parameter.choices else {}),
    }
    return {"type": kind} | {name: value for name, value in extras.items() if value is not None}


def _of_text(parameter: Parameter) -> dict[str, Any]:
    pattern = r"^[^\u0000]*$"
    if parameter.pattern and not RE2_ONLY.search(parameter.pattern):
        pattern = f"^(?:{parameter.pattern})$"
    longest = MAX_LENGTH if parameter.max_length is None else parameter.max_length
    return {"minLength": parameter.min_length, "maxLength": longest, "pattern": pattern}


def _in_words(parameter: Parameter) -> str:
    """What JSON Schema has no word for: a range of days, and a pattern that only RE2 can read."""
    if parameter.minimum is not None and parameter.type in ("Date", "DateTime"):
        return f"From {said(parameter.minimum)} to {said(parameter.maximum)}."
    if parameter.pattern and RE2_ONLY.search(parameter.pattern):
        return f"Matches the RE2 pattern {parameter.pattern}"
    return ""


def record(about: str = "", optional: Mapping[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
    """An object: these fields are always there, the optional ones sometimes."""
    told = {"description": about} if about else {}
    return {
        "type": "object",
        **told,
        "required": list(fields),
        "properties": {name: _plain(kind) for name, kind in {**fields, **(optional or {})}.items()},
    }


def _plain(kind: Any) -> Any:
    return {"type": kind} if isinstance(kind, str) else kind


def listing(item: Any) -> dict[str, Any]:
    return {"type": "array", "items": _plain(item)}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


OR_TEXT, MOMENT = {"type": ["string", "null"]}, {"type": ["string", "null"], "format": "date-time"}
FIXED: dict[str, dict[str, Any]] = {
    "Detail": record(param="string", problem="string"),
    "Fault": record(
        code={"type": "string", "description": "One of a documented list: bad_parameters, no_such_pipe, busy, …"},
        message={"type": "string", "description": "What happened."},
        hint={"type": "string", "description": "What would have worked; may be empty."},
        details=listing(ref("Detail")),
    ),
    "Error": record("Every error has this shape.", error=ref("Fault"), request_id="string"),
    "Column": record(name="string", type={"type": "string", "description": "ClickHouse's name of the type."}),
    "Statistics": record("What the query cost.", elapsed="number", rows_read="integer", bytes_read="integer"),
    "Answering": record(
        name="string",
        version={"type": "string", "description": "Changes with the pipe's text."},
        fallback={
            "type": ["string", "null"],
            "description": "The first pipe that answered in its place, where it had no rows; each row names its own as `source`.",
        },
    ),
    "PipeParameter": record(
        name="string",
        type="string",
        required="boolean",
        repeated="boolean",
        default={},
        minimum={"type": ["number", "string", "null"]},
        maximum={"type": ["number", "string", "null"]},
        choices={"type": ["array", "null"], "items": {}},
        min_length={"type": ["integer", "null"]},
        max_length={"type": ["integer", "null"]},
        pattern={"type": ["string", "null"]},
        description="string",
    ),
    "PipeDescription": record(
        name="string",
        ready={"type": "boolean", "description": "false: it never had a good text."},
        stale={"type": "boolean", "description": "true: its file is broken, and its last good text answers."},
        sentence="string",
        description="string",
        parameters=listing(ref("PipeParameter")),
        columns=listing(ref("Column")),
        version="string",
    ),
    "Pipes": record(pipes=listing(ref("PipeDescription")), request_id="string"),
    "Refused": record(index={"type": "integer", "description": "Its place in the request, from 0."}, problem="string"),
    "Taken": record(
        "",
        {
            "repeats": {
                "type": "integer",
                "description": "Accepted events that were stored before. Not there with Kafka: it is not known yet.",
            },
            "visible": {
                "type": "boolean",
                "description": "Only with ?wait=true, and false: they are in the log, and recommendations do not see them yet.",
            },
            "hint": {"type": "string", "description": "What to do then: nothing, and not to send them again."},
        },
        accepted="integer",
        rejected=listing(ref("Refused")) | {"description": "The first hundred of those that were refused."},
        rejected_total="integer",
        request_id="string",
    ),
    "Merged": record(
        guest_id="string",
        user_id={"type": "string", "description": "The account, also if the one that was named is part of another."},
        events={"type": "integer", "description": "How many events changed hands."},
        request_id="string",
    ),
    "Alive": record(status={"type": "string", "const": "alive"}, version="string"),
    "Ready": record(status={"type": "string", "const": "ready"}, as_of=MOMENT, waiting="integer"),
}
