"""OpenAPI 3.1, made from the headers of the pipes. Nothing about an endpoint is written anywhere else.

One address has all formats, chosen by `Accept`, so that a generated client has one method for a pipe and not five.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from alsobought.errors import Detail, error_json
from alsobought.events import ID_LENGTH, STANDARD_TYPES, Event, Item
from alsobought.pipes.fallbacks import chain
from alsobought.pipes.library import SOURCE, Pipe
from alsobought.web.formats import FORMATS
from alsobought.web.json_schemas import (
    FIXED,
    MOMENT,
    NULL,
    TEXT,
    column_schema,
    either,
    in_body,
    in_query,
    listing,
    record,
    ref,
)

TAGS = {
    "pipes": "Recommendations: each is a SQL file, and its first comment is what stands here.",
    "intake": "What happened, and what is on sale.",
    "service": "What watches over the service, and what describes it.",
}
OWN_IDS = (
    "list_pipes",
    "post_events",
    "post_items",
    "merge_users",
    "healthz",
    "readyz",
    "metrics",
    "openapi",
)
HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {"description": "The request's name, also in the log and the body.", "required": True},
    "ETag": {"description": "Send it back as If-None-Match: 304 while the answer says the same."},
    "Cache-Control": {"description": "How long the answer may be used unasked, after the pipe's @cache."},
    "Vary": {"description": "Accept: an address has several formats."},
    "Content-Disposition": {"description": "The name of the file: of CSV and Parquet."},
    "Retry-After": {"description": "Seconds until it is worth trying again."},
    "Allow": {"description": "The methods that work here."},
}
FAULTS: dict[str, tuple[str, str, str, str]] = {
    "400": ("The request's fault.", "bad_request", "the body is not a JSON object", 'Send {"item_id": "…"}'),
    "403": (
        "A page of another site.",
        "not_allowed",
        "pages of 'https://…' may not post here",
        "Name it in ALSOBOUGHT_CORS",
    ),
    "404": ("Nothing is there.", "no_such_pipe", "no pipe called also_bougt", "Did you mean also_bought?"),
    "405": ("Another method works.", "method_not_allowed", "DELETE does not work here", "What works is GET or POST"),
    "406": ("No such format.", "not_acceptable", "no format that Accept asks for", "There are application/json, …"),
    "413": ("Too large.", "too_large", "the body is larger than 16,777,216 bytes", "Send it in parts"),
    "500": ("Our fault.", "internal", "something went wrong on our side", "The log has it under this request_id"),
    "503": ("Try again.", "busy", "the writer is behind", "Send the same again in a second"),
    "504": ("Stopped by a limit.", "too_slow", "the answer was stopped by a limit", "Ask for less"),
}
WRONG_LIMIT = Detail("limit", "'x' is not a whole number between 1 and 100")


def describe_api(pipes: Sequence[Pipe], event_types: Collection[str] = STANDARD_TYPES) -> dict[str, Any]:
    """The whole document, for these pipes and for the event types that the shop takes."""
    named = {pipe.name: pipe for pipe in pipes}
    asking, names = _unique_ids(named, "", OWN_IDS), _unique_names(named)
    posting = _unique_ids(named, "post_", [*OWN_IDS, *asking.values()])
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {**FIXED, **_intake_schemas(event_types)}
    for pipe in pipes:
        name = names[pipe.name]
        paths[f"/pipes/{pipe.name}"] = {
            "get": _asked(pipe, asking[pipe.name], name),
            "post": _posted(pipe, posting[pipe.name], name),
        }
        schemas |= {
            f"{name}Row": _row(pipe, named),
            f"{name}Answer": _answer(name),
            f"{name}Question": _question(pipe),
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Alsobought",
            "version": version("alsobought"),
            "summary": "Recommendations that are SQL files.",
            "description": "Every error has one shape, and every answer a request_id: in its body and as X-Request-Id.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "./", "description": "Where this document is."}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths | _own_paths(),
        "components": {
            "schemas": schemas,
            "responses": {f"Error{status}": _fault(status) for status in FAULTS},
            "headers": {name: {"schema": {"type": "string"}, **told} for name, told in HEADERS.items()},
        },
    }


def _unique_ids(named: Collection[str], prefix: str, taken: Collection[str]) -> dict[str, str]:
    """What the operations of the pipes are called: `also_bought`, `post_also_bought`, or longer where that is another's."""
    ids: dict[str, str] = {}
    for pipe in named:
        name = prefix + pipe
        while name in taken or name in ids.values():
            name += "_pipe"
        ids[pipe] = name
    return ids


def _unique_names(named: Collection[str]) -> dict[str, str]:
    """also_bought → AlsoBought, as schemas are called."""
    names: dict[str, str] = {}
    for pipe in named:
        name = "".join(part[:1].upper() + part[1:] for part in re.sub(r"[^A-Za-z0-9]", "_", pipe).split("_")) or "Pipe"
        while name in names.values():
            name += "2"
        names[pipe] = name
    return names


# Pipes


def _asked(pipe: Pipe, operation: str, name: str) -> dict[str, Any]:
    parameters = [
        {
            "name": one.name,
            "in": "query",
            "required": one.required,
            "description": one.description,
            "schema": in_query(one),
        }
        for one in pipe.parameters
    ]
    told = ["X-Request-Id", "ETag", "Cache-Control", "Vary", "Content-Disposition"]
    unchanged = {"description": "As If-None-Match has it: no body.", "headers": _headers(*told[:4])}
    responses = {
        "200": _rows(name, *told),
        "304": unchanged,
        **_faults("400", "404", "405", "406", "500", "503", "504"),
    }
    more = "Append .csv, .ndjson or .parquet to the path, or say so with Accept."
    return _pipe_operation(pipe, operation, more) | {"parameters": [*parameters, IF_NONE_MATCH], "responses": responses}


IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an answer that the caller has.",
    "schema": {"type": "string"},
}


def _posted(pipe: Pipe, operation: str, name: str) -> dict[str, Any]:
    """The same question with the parameters as a JSON object."""
    required = any(one.required for one in pipe.parameters)
    body = {"required": required, "content": {"application/json": {"schema": ref(f"{name}Question")}}}
    responses = {
        "200": _rows(name, "X-Request-Id", "Vary", "Content-Disposition"),
        **_faults("400", "404", "405", "406", "413", "500", "503", "504"),
    }
    more = "The same question, its parameters as a JSON object."
    return _pipe_operation(pipe, operation, more) | {"requestBody": body, "responses": responses}


def _pipe_operation(pipe: Pipe, operation: str, more: str) -> dict[str, Any]:
    return {
        "operationId": operation,
        "tags": ["pipes"],
        "summary": pipe.header.sentence,
        "description": f"{pipe.header.prose} {more}",
    }


def _rows(name: str, *headers: str) -> dict[str, Any]:
    content: dict[str, Any] = {
        FORMATS["json"]: {"schema": ref(f"{name}Answer")},
        FORMATS["csv"]: {"schema": {"type": "string"}},
        FORMATS["ndjson"]: {"schema": {"type": "string", "description": "A row on each line, as `data` has them."}},
        FORMATS["parquet"]: {"schema": {"type": "string", "format": "binary"}},
    }
    return {"description": "The rows.", "headers": _headers(*headers), "content": content}


def _answer(name: str) -> dict[str, Any]:
    return record(
        meta=listing(ref("Column")),
        data=listing(ref(f"{name}Row")),
        rows="integer",
        statistics=ref("Statistics"),
        pipe=ref("Answering"),
        as_of=MOMENT | {"description": "What was stored until then is counted; null: nothing was stored yet."},
        request_id="string",
    )


def _row(pipe: Pipe, named: Mapping[str, Pipe]) -> dict[str, Any]:
    """A row, whoever says it: what a fallback does not have is null, and its types may be others."""
    columns = {name: column_schema(kind) for name, kind in pipe.columns}
    if pipe.tells_source:
        columns[SOURCE] = TEXT | {"description": "The pipe that gave this row: this one, or one that filled the list."}
    for other, names in chain(pipe, named):
        theirs = {names.get(name, name): column_schema(kind) for name, kind in other.selected}
        columns |= {
            name: either(kind, theirs.get(name, NULL))
            for name, kind in columns.items()
            if name != pipe.header.key and not (name == SOURCE and pipe.tells_source)
        }
    return record(pipe.header.sentence, **columns)


def _question(pipe: Pipe) -> dict[str, Any]:
    properties = {one.name: in_body(one) | {"description": one.description} for one in pipe.parameters}
    required = [one.name for one in pipe.parameters if one.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


# What is always there


def _own_paths() -> dict[str, Any]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    metrics = _operation("metrics", "service", "Counters and gauges, as Prometheus reads them.", "500")
    metrics["responses"]["200"] = {"description": "Text.", "headers": _headers("X-Request-Id"), "content": text}
    listed = _operation("list_pipes", "pipes", "Every pipe with its parameters and columns.", "500", "503", ok="Pipes")
    return {
        "/pipes": {"get": listed},
        "/events": {"post": _intake("events", "Event", "Store what happened.")},
        "/items": {"post": _intake("items", "Item", "Store or replace products of the catalogue.")},
        "/users/merge": {"post": _merge()},
        "/healthz": {"get": _operation("healthz", "service", "Whether the process is alive.", "500", ok="Alive")},
        "/readyz": {"get": _operation("readyz", "service", "Whether it can answer.", "500", "503", ok="Ready")},
        "/metrics": {"get": metrics},
        "/openapi.json": {"get": _operation("openapi", "service", "This document.", "500", "503", ok="")},
    }


def _operation(name: str, tag: str, summary: str, *faults: str, ok: str | None = None) -> dict[str, Any]:
    """`ok` is the schema of the answer, empty for any object."""
    responses: dict[str, Any] = {}
    if ok is not None:
        responses["200"] = _json("So it is.", ref(ok) if ok else {"type": "object"})
    responses |= _faults("405", *faults)
    return {"operationId": name, "tags": [tag], "summary": summary, "responses": responses}


def _intake_schemas(event_types: Collection[str]) -> dict[str, Any]:
    """Event and Item, as they are read."""
    _, schemas = msgspec.json.schema_components([Event, Item], ref_template="#/components/schemas/{name}")
    schemas["Event"]["properties"]["event_type"] = {"type": "string", "enum": sorted(event_types)}
    ids = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH}
    merge = record(
        guest_id=ids | {"description": "Whose events they were: a guest's session_id, or another user_id."},
        user_id=ids | {"description": "The account."},
    )
    return {name: schemas[name] for name in ("Event", "Item")} | {"Merge": merge | {"additionalProperties": False}}


def _intake(what: str, schema: str, summary: str) -> dict[str, Any]:
    wait = {
        "name": "wait",
        "in": "query",
        "description": "true: answer 200 when the recommendations see them; 202 if that takes longer than 30 seconds",
        "schema": {"type": "boolean", "default": False},
    }
    content = {
        "application/json": {"schema": {"anyOf": [ref(schema), listing(ref(schema))]}},
        "application/x-ndjson": {"schema": {"type": "string"}},
    }
    more = (
        " An event names a user_id or a session_id; Segment's track calls are taken, too." if schema == "Event" else ""
    )
    operation = _operation(f"post_{what}", "intake", summary, "400", "403", "413", "500", "503")
    operation["responses"] = {
        "200": _json("Stored and visible.", ref("Taken")),
        "202": _json("Stored.", ref("Taken")),
        **operation["responses"],
    }
    return operation | {
        "description": f"One object, an array, or one per line.{more} A bad one costs its neighbours nothing.",
        "parameters": [wait],
        "requestBody": {"required": True, "content": content},
    }


def _merge() -> dict[str, Any]:
    summary = "Make what a guest did, and does later, an account's."
    operation = _operation("merge_users", "intake", summary, "400", "403", "413", "500", "503", ok="Merged")
    return operation | {
        "description": "Every count is then as if there had always been one user. Doing it again changes nothing.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref("Merge")}}},
    }


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    return {"description": description, "headers": _headers("X-Request-Id"), "content": content}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _faults(*statuses: str) -> dict[str, Any]:
    return {status: {"$ref": f"#/components/responses/Error{status}"} for status in sorted(statuses)}


def _fault(status: str) -> dict[str, Any]:
    """An error as a response, with an example of it."""
    description, code, message, hint = FAULTS[status]
    examples = {code: {"value": _example(code, message, hint)}}
    if status == "400":
        problem = f"{WRONG_LIMIT.param}: {WRONG_LIMIT.problem}"
        examples["bad_parameters"] = {"value": _example("bad_parameters", problem, "", WRONG_LIMIT)}
    more = {"503": ["Retry-After"], "405": ["Allow"], "406": ["Vary"]}.get(status, [])
    response = _json(description, ref("Error"))
    response["content"]["application/json"]["examples"] = examples
    return response | {"headers": _headers("X-Request-Id", *more)}


def _example(code: str, message: str, hint: str, *details: Detail) -> Any:
    return msgspec.to_builtins(error_json(code, message, hint, details, "5c27ff86fe1f4a36"))
