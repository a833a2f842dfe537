"""OpenAPI 3.1, made from the headers of the pipes. Nothing about an endpoint is written anywhere else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from app.events import ID_LENGTH
from app.pipes.kinds import said
from app.pipes.library import Pipe
from app.pipes.parameters import INTEGERS, MAX_LENGTH, Parameter

ERROR = {
    "type": "object",
    "required": ["error", "request_id"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint", "details"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "hint": {"type": "string"},
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"param": {"type": "string"}, "problem": {"type": "string"}},
                    },
                },
            },
        },
        "request_id": {"type": "string"},
    },
}
TAKEN = {
    "type": "object",
    "required": ["accepted", "rejected", "rejected_total", "request_id"],
    "properties": {
        "accepted": {"type": "integer"},
        "repeats": {
            "type": "integer",
            "description": "Accepted events that were stored before. Not there with Kafka: it is not known yet.",
        },
        "rejected_total": {"type": "integer"},
        "rejected": {
            "type": "array",
            "description": "The first hundred of those that were refused.",
            "items": {
                "type": "object",
                "properties": {"index": {"type": "integer"}, "problem": {"type": "string"}},
            },
        },
        "visible": {
            "type": "boolean",
            "description": "Only with ?wait=true, and false: they are in Kafka's log, and recommendations do not see them yet.",
        },
        "hint": {"type": "string", "description": "What to do then: nothing, and not to send them again."},
        "request_id": {"type": "string"},
    },
}


PIPES = {
    "type": "object",
    "required": ["pipes", "request_id"],
    "properties": {
        "pipes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "ready", "stale", "sentence", "description", "parameters", "columns", "version"],
                "properties": {
                    "name": {"type": "string"},
                    "ready": {"type": "boolean"},
                    "stale": {"type": "boolean"},
                    "sentence": {"type": "string"},
                    "description": {"type": "string"},
                    "parameters": {"type": "array", "items": {"type": "object"}},
                    "columns": {"type": "array", "items": {"type": "object"}},
                    "version": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string"},
    },
}


MERGED = {
    "type": "object",
    "required": ["guest_id", "user_id", "events", "request_id"],
    "properties": {
        "guest_id": {"type": "string"},
        "user_id": {"type": "string", "description": "The account, also if the one that was named is part of another."},
        "events": {"type": "integer", "description": "How many events changed hands."},
        "request_id": {"type": "string"},
    },
}

RE2_ONLY = re.compile(
    r"\(\?(?!:)|\\[ACQpPzaZ]|\[\[:"
)  # what a browser's regular expressions do not know or read otherwise


def describe_api(pipes: Sequence[Pipe]) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, Any] = {f"/pipes/{pipe.name}": {"get": _operation(pipe), "post": _posted(pipe)} for pipe in pipes}
    paths["/pipes"] = {"get": _list()}
    paths["/events"] = {"post": _intake("events", "Store what happened.")}
    paths["/items"] = {"post": _intake("items", "Store or replace products of the catalogue.")}
    paths["/users/merge"] = {"post": _merge()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Alsobought", "version": "0.1.0", "description": "Recommendations that are SQL files."},
        "paths": paths,
        "components": {"schemas": {"Error": ERROR, "Taken": TAKEN, "Pipes": PIPES, "Merged": MERGED}},
    }


def _operation(pipe: Pipe) -> dict[str, Any]:
    row = {
        "type": "object",
        "required": [name for name, _ in pipe.columns],
        "properties": {name: column_schema(kind, bool(pipe.header.fallback)) for name, kind in pipe.columns},
    }
    body = {
        "type": "object",
        "required": ["meta", "data", "rows", "statistics", "pipe", "as_of", "request_id"],
        "properties": {
            "meta": {"type": "array", "items": {"type": "object"}},
            "data": {"type": "array", "items": row},
            "rows": {"type": "integer"},
            "statistics": {"type": "object"},
            "pipe": {"type": "object"},
            "as_of": {"type": ["string", "null"], "format": "date-time"},
            "request_id": {"type": "string"},
        },
    }
    return {
        "operationId": pipe.name,
        "summary": pipe.header.sentence,
        "description": f"{pipe.header.prose} Other formats: append .csv, .ndjson or .parquet to the path.",
        "parameters": [_parameter(parameter) for parameter in pipe.parameters],
        "responses": {"200": _response("The rows.", body), **_errors("400", "503", "504")},
    }


def _posted(pipe: Pipe) -> dict[str, Any]:
    """The same question with the parameters as a JSON object."""
    properties = {p.name: _schema(p) | {"description": p.description} for p in pipe.parameters}
    body = {"type": "object", "properties": properties, "required": [p.name for p in pipe.parameters if p.required]}
    operation = {name: value for name, value in _operation(pipe).items() if name != "parameters"}
    return operation | {
        "operationId": f"post_{pipe.name}",
        "requestBody": {"required": bool(body["required"]), "content": {"application/json": {"schema": body}}},
    }


def _list() -> dict[str, Any]:
    listed = _response("The pipes.", {"$ref": "#/components/schemas/Pipes"})
    return {"operationId": "list_pipes", "summary": "Every pipe with its parameters.", "responses": {"200": listed}}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
        "schema": _schema(parameter),
    }


def _schema(parameter: Parameter) -> dict[str, Any]:
    schema = _value_schema(parameter)
    if parameter.repeated:
        schema = {"type": "array", "items": schema}
    return schema if parameter.default is None else schema | {"default": parameter.assumed}


def _value_schema(parameter: Parameter) -> dict[str, Any]:
    low, high = parameter.bounds()
    formats = {"Date": "date", "DateTime": "date-time"}
    kind = {"Float64": "number", "Bool": "boolean", **dict.fromkeys(INTEGERS, "integer")}.get(parameter.type, "string")
    numbers = kind in ("number", "integer")
    longest = MAX_LENGTH if parameter.max_length is None else parameter.max_length
    readable = parameter.pattern and not RE2_ONLY.search(parameter.pattern)
    schema: dict[str, Any] = {"type": kind}
    extras = {
        "format": formats.get(parameter.type),
        "minimum": low if numbers else None,
        "maximum": high if numbers else None,
        "enum": list(parameter.choices) or None,
        "minLength": parameter.min_length,
        "maxLength": longest if parameter.type == "String" else None,
        "pattern": f"^(?:{parameter.pattern})$" if readable else None,
        "description": _in_words(parameter) or None,
    }
    return schema | {name: value for name, value in extras.items() if value is not None}


def _in_words(parameter: Parameter) -> str:
    """What JSON Schema has no word for: a range of days, and a pattern that only RE2 can read."""
    if parameter.minimum is not None and parameter.type in ("Date", "DateTime"):
        return f"From {said(parameter.minimum)} to {said(parameter.maximum)}."
    if parameter.pattern and RE2_ONLY.search(parameter.pattern):
        return f"Matches the RE2 pattern {parameter.pattern}"
    return ""


def column_schema(kind: str, nullable: bool = False) -> dict[str, Any]:
    """JSON Schema of a ClickHouse type. A fallback may leave a column null.

    >>> column_schema("Array(Float64)")
    {'type': 'array', 'items': {'type': 'number'}}
    """
    if found := re.fullmatch(r"(?:Nullable|LowCardinality)\((.+)\)", kind):
        return column_schema(found[1], nullable or kind.startswith("Nullable"))
    if found := re.fullmatch(r"Array\((.+)\)", kind):
        return {"type": ["array", "null"] if nullable else "array", "items": column_schema(found[1])}
    types = ["string"]
    if re.match(r"U?Int(64|128|256)", kind):
        types = ["integer", "string"]
    elif re.match(r"U?Int\d+$", kind):
        types = ["integer"]
    elif kind.startswith(("Float", "Decimal")):
        types = ["number"]
    elif kind == "Bool":
        types = ["boolean"]
    if nullable:
        types = [*types, "null"]
    return {"type": types[0] if len(types) == 1 else types}


def _intake(what: str, sentence: str) -> dict[str, Any]:
    one = {"type": "object"}
    return {
        "operationId": f"post_{what}",
        "summary": sentence,
        "parameters": [
            {
                "name": "wait",
                "in": "query",
                "description": "true: answer 200 when the recommendations see them; 202 if that takes longer than 30 seconds",
                "schema": {"type": "boolean", "default": False},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"oneOf": [one, {"type": "array", "items": one}]}},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
        },
        "responses": {
            "200": _response("Stored and visible.", {"$ref": "#/components/schemas/Taken"}),
            "202": _response("Stored.", {"$ref": "#/components/schemas/Taken"}),
            **_errors("400", "413", "503"),
        },
    }


def _merge() -> dict[str, Any]:
    ids = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH}
    wanted = {
        "type": "object",
        "required": ["guest_id", "user_id"],
        "additionalProperties": False,
        "properties": {
            "guest_id": ids | {"description": "Whose events they were: a guest's session_id, or another user_id."},
            "user_id": ids | {"description": "The account."},
        },
    }
    return {
        "operationId": "merge_users",
        "summary": "Make what a guest did, and does later, an account's.",
        "description": "Every count is then as if there had always been one user. Doing it again changes nothing.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": wanted}}},
        "responses": {
            "200": _response("Done and visible.", {"$ref": "#/components/schemas/Merged"}),
            **_errors("400", "413", "503"),
        },
    }


def _response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors(*statuses: str) -> dict[str, Any]:
    words = {"400": "The request's fault.", "413": "Too large.", "503": "Try again.", "504": "Stopped by a limit."}
    return {status: _response(words[status], {"$ref": "#/components/schemas/Error"}) for status in statuses}
