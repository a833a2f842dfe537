"""JSON Schemas for OpenAPI: of ClickHouse types, of parameters, and of the fixed bodies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from alsobought.pipes.parameters import INTEGERS, MAX_LENGTH, MAX_VALUES, Parameter
from alsobought.pipes.types import format_value

NULL = {"type": "null"}
TEXT, INTEGER, BOOLEAN = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
SIMPLE_TYPES: dict[str, dict[str, Any]] = {
    r"U?Int(64|128|256)|Interval\w+": {"type": ["integer", "string"]},  # a string beyond 2^53
    r"U?Int(8|16|32)": INTEGER,
    r"B?Float\d+": {"type": ["number", "null"]},  # null stands for NaN and infinity
    r"Decimal.*": {"type": "number"},
    r"Bool": BOOLEAN,
    r"Date(32)?": {"type": "string", "format": "date"},
    r"DateTime.*": {"type": "string", "format": "date-time"},
    r"String|FixedString.*|Enum.*|UUID|IPv[46]": TEXT,
    r"Nothing": NULL,
}

RE2_ONLY = re.compile(r"\(\?(?!:)|\\[ACQpPzaZ]|\[\[:")
"""Syntax that JavaScript's regular expressions lack or interpret differently."""


def column_schema(kind: str) -> dict[str, Any]:
    """The values of a ClickHouse type in an answer; no restriction for a type that is not listed.

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
    return next((schema for pattern, schema in SIMPLE_TYPES.items() if re.fullmatch(pattern, kind)), {})


def _tuple_schema(inner: str) -> dict[str, Any]:
    elements = [re.fullmatch(r"(\w+|`[^`]+`) (.+)", part, re.S) for part in _parts(inner)]
    fields = {named[1].strip("`"): column_schema(named[2]) for named in elements if named}
    if len(fields) < len(elements):
        return {"type": "array", "items": {}}
    return {"type": "object", "properties": fields, "required": list(fields)}


def _parts(text: str) -> Iterator[str]:
    """Split at commas outside brackets and quotes."""
    depth, quoted, start = 0, False, 0
    for index, letter in enumerate(text):
        quoted ^= letter == "'"
        depth += 0 if quoted else {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth and not quoted:
            yield text[start:index].strip()
            start = index + 1
    yield text[start:].strip()


def either(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that has one of two schemas.

    >>> either({"type": "string"}, {"type": "null"})
    {'type': ['string', 'null']}
    """
    if first == second or not first:
        return first
    if not second:
        return second
    if "type" in first and (second == NULL or set(first) == set(second) == {"type"}):
        return first | {"type": list(dict.fromkeys([*_types(first), *_types(second)]))}
    return {"anyOf": [first, second]}


def _types(schema: Mapping[str, Any]) -> list[str]:
    types = schema["type"]
    return types if isinstance(types, list) else [types]


def in_query(parameter: Parameter) -> dict[str, Any]:
    """A parameter in the query string: a repeated one is an array."""
    return _array(parameter) if parameter.repeated else value_schema(parameter)


def in_body(parameter: Parameter) -> dict[str, Any]:
    """A parameter in a JSON body: a single value for a repeated one, null for an optional one."""
    schema = in_query(parameter)
    if parameter.repeated:
        schema = {"anyOf": [schema, value_schema(parameter)]}
    if parameter.required:
        return schema
    if "anyOf" in schema:
        return {"anyOf": [*schema["anyOf"], NULL]}
    optional = either(schema, NULL)
    return optional | {"enum": [*schema["enum"], None]} if "enum" in schema else optional


def _array(parameter: Parameter) -> dict[str, Any]:
    minimum = {"minItems": 1} if parameter.required else {}
    default = {} if parameter.default is None else {"default": parameter.assumed}
    return {"type": "array", "items": value_schema(parameter), **minimum, "maxItems": MAX_VALUES, **default}


def value_schema(parameter: Parameter) -> dict[str, Any]:
    """One value of a parameter."""
    low, high = parameter.bounds()
    formats = {"Date": "date", "DateTime": "date-time"}
    kind = {"Float64": "number", "Bool": "boolean", **dict.fromkeys(INTEGERS, "integer")}.get(parameter.type, "string")
    numeric = kind in ("number", "integer")
    extras = {
        "format": formats.get(parameter.type),
        "default": None if parameter.repeated else parameter.default,
        "minimum": low if numeric else None,
        "maximum": high if numeric else None,
        "enum": list(parameter.choices) or None,
        "description": _description(parameter) or None,
        **(_text_limits(parameter) if parameter.type == "String" and not parameter.choices else {}),
    }
    return {"type": kind} | {name: value for name, value in extras.items() if value is not None}


def _text_limits(parameter: Parameter) -> dict[str, Any]:
    pattern = r"^[^\u0000]*$"
    if parameter.pattern and not RE2_ONLY.search(parameter.pattern):
        pattern = f"^(?:{parameter.pattern})$"
    max_length = MAX_LENGTH if parameter.max_length is None else parameter.max_length
    return {"minLength": parameter.min_length, "maxLength": max_length, "pattern": pattern}


def _description(parameter: Parameter) -> str:
    """Limits that JSON Schema cannot express: a range of dates, and a pattern in RE2-only syntax."""
    if parameter.minimum is not None and parameter.type in ("Date", "DateTime"):
        return f"From {format_value(parameter.minimum)} to {format_value(parameter.maximum)}."
    if parameter.pattern and RE2_ONLY.search(parameter.pattern):
        return f"Matches the RE2 pattern {parameter.pattern}"
    return ""


def record(about: str = "", optional: Mapping[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
    """The schema of an object with these required fields and the optional ones."""
    description = {"description": about} if about else {}
    return {
        "type": "object",
        **description,
        "required": list(fields),
        "properties": {name: _plain(kind) for name, kind in {**fields, **(optional or {})}.items()},
    }


def _plain(kind: Any) -> Any:
    return {"type": kind} if isinstance(kind, str) else kind


def listing(item: Any) -> dict[str, Any]:
    return {"type": "array", "items": _plain(item)}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


MOMENT = {"type": ["string", "null"], "format": "date-time"}
FIXED_SCHEMAS: dict[str, dict[str, Any]] = {
    "Detail": record(param="string", problem="string"),
    "Fault": record(
        code={"type": "string", "description": "A documented code: bad_parameters, no_such_pipe, busy, …"},
        message={"type": "string", "description": "What happened."},
        hint={"type": "string", "description": "What to do about it; may be empty."},
        details=listing(ref("Detail")),
    ),
    "Error": record("The shape of all errors.", error=ref("Fault"), request_id="string"),
    "Column": record(name="string", type={"type": "string", "description": "The ClickHouse type."}),
    "Statistics": record("The cost of the query.", elapsed="number", rows_read="integer", bytes_read="integer"),
    "AnsweringPipe": record(
        name="string",
        version={"type": "string", "description": "Changes with the text of the pipe."},
        fallback={
            "type": ["string", "null"],
            "description": "The first fallback that filled a list in which the pipe had no rows; `source` is the pipe of each row.",
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
        ready={"type": "boolean", "description": "false: the file is broken, and no valid text was ever loaded."},
        stale={"type": "boolean", "description": "true: the file is broken, and its last valid text answers."},
        private={
            "type": "boolean",
            "description": "true: its answers are about a user, and take a secret key or a token.",
        },
        user_parameters=listing("string")
        | {"description": "Parameters that name a user: requests with one take a secret key or a token, too."},
        sentence="string",
        description="string",
        parameters=listing(ref("PipeParameter")),
        columns=listing(ref("Column")),
        version="string",
    ),
    "Pipes": record(pipes=listing(ref("PipeDescription")), request_id="string"),
    "Rejected": record(index={"type": "integer", "description": "Its index in the request, from 0."}, problem="string"),
    "Accepted": record(
        "",
        {
            "duplicates": {
                "type": "integer",
                "description": "Accepted events that were stored before. Absent while that is not known.",
            },
            "repeats": {"type": "integer", "deprecated": True, "description": "The old name of `duplicates`."},
            "skipped": {
                "type": "integer",
                "description": "Calls of analytics tools that are none of ours. Of `POST /events`, absent if there are none.",
            },
            "skipped_calls": listing("string") | {"description": "What they are, the first ten different ones."},
            "dropped": {
                "type": "integer",
                "description": "Events and calls of known bots, which are not stored. Absent if there are none.",
            },
            "dropped_bots": listing("string") | {"description": "Which bots, the first ten."},
            "merged": {
                "type": "integer",
                "description": "Calls that name a guest of an account, who is merged into it. Only of webhooks.",
            },
            "users": {
                "type": "integer",
                "description": "Users of whom calls had attributes, which are stored. Only of webhooks; absent if there are none.",
            },
            "visible": {
                "type": "boolean",
                "description": "false after ?wait=true if answers do not contain the rows in time; else absent.",
            },
            "hint": {
                "type": "string",
                "description": "With `visible`: the rows will be stored, do not send them again.",
            },
        },
        accepted="integer",
        rejected=listing(ref("Rejected")) | {"description": "The first hundred rejected objects."},
        rejected_total="integer",
        request_id="string",
    ),
    "StoredUser": record(
        user_id={"type": "string", "description": "The user, or the account of a merged guest."},
        attributes={"type": "object", "description": "As they were sent."},
        updated_at=MOMENT,
        request_id="string",
    ),
    "Merged": record(
        guest_id="string",
        user_id={"type": "string", "description": "The account, or the account that it has been merged into."},
        events={"type": "integer", "description": "The number of reassigned events."},
        request_id="string",
    ),
    "Unmerged": record(
        "",
        {"not_moved": {"type": "string", "description": "Given if events have expired: which could not be moved."}},
        guest_id="string",
        user_id={"type": "string", "description": "The account that the guest was merged into."},
        events={"type": "integer", "description": "The number of events that are the guest's again."},
        request_id="string",
    ),
    "AuditLog": record(
        entries=listing(
            record(
                id="string",
                time=MOMENT,
                via={"type": "string", "description": "api, workbench, command line or start."},
                actor={"type": "string", "description": "The key or the user of the machine; empty without a key."},
                actor_name="string",
                address="string",
                action="string",
                object="string",
                detail={"type": "object"},
                outcome={"type": "string", "description": "done, failed, or empty while the end is not known."},
                finished_at=MOMENT,
                times={"type": "integer", "description": "How often it happened in ten minutes."},
            )
        ),
        request_id="string",
    ),
    "Alive": record(status={"type": "string", "const": "alive"}, version="string"),
    "Ready": record(
        "All but the status takes a key with the scope metrics, where keys are needed.",
        {
            "as_of": MOMENT,
            "waiting": {"type": "integer"},
            "halted": {"type": ["string", "null"], "description": "Why reading from Kafka is halted."},
            "damaged": {"type": "array", "items": {"type": "string"}, "description": "Tables with damaged parts."},
        },
        status={"type": "string", "const": "ready"},
    ),
}
