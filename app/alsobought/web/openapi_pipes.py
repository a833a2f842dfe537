"""The OpenAPI operations and schemas of the pipes, made from their headers.

One URL has all formats, selected by `Accept`, so that a generated client has one method per pipe
and not five.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from alsobought.pipes.fallbacks import chain
from alsobought.pipes.header import Deprecation
from alsobought.pipes.parameters import CURSOR, FRESH, Parameter
from alsobought.pipes.pipe import SOURCE, Pipe
from alsobought.web.formats import FORMATS
from alsobought.web.json_schemas import (
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
from alsobought.web.openapi_responses import KEYED, error_refs, header_refs

IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an answer that the client has.",
    "schema": {"type": "string"},
}


def pipe_paths(pipes: Mapping[str, Pipe], reserved_ids: Collection[str]) -> dict[str, Any]:
    """GET and POST for each pipe. No operation id is in `reserved_ids`."""
    names = _unique_names(pipes)
    get_ids = _unique_ids(pipes, "", reserved_ids)
    post_ids = _unique_ids(pipes, "post_", [*reserved_ids, *get_ids.values()])
    return {
        f"/pipes/{name}": {
            "get": _get_operation(pipe, get_ids[name], names[name], pipes),
            "post": _post_operation(pipe, post_ids[name], names[name]),
        }
        for name, pipe in pipes.items()
    }


def pipe_schemas(pipes: Mapping[str, Pipe]) -> dict[str, Any]:
    """AlsoBoughtRow, AlsoBoughtAnswer and AlsoBoughtParameters for also_bought, and so on."""
    schemas: dict[str, Any] = {}
    for name, prefix in _unique_names(pipes).items():
        schemas |= {
            f"{prefix}Row": _row(pipes[name], pipes),
            f"{prefix}Answer": _answer(prefix),
            f"{prefix}Parameters": _parameters(pipes[name], pipes),
        }
    return schemas


def _unique_ids(pipes: Collection[str], prefix: str, reserved: Collection[str]) -> dict[str, str]:
    """Operation ids: `also_bought`, `post_also_bought`; `_pipe` is appended to a reserved name."""
    ids: dict[str, str] = {}
    for pipe in pipes:
        name = prefix + pipe
        while name in reserved or name in ids.values():
            name += "_pipe"
        ids[pipe] = name
    return ids


def _unique_names(pipes: Collection[str]) -> dict[str, str]:
    """Prefixes of schema names: also_bought → AlsoBought."""
    names: dict[str, str] = {}
    for pipe in pipes:
        name = "".join(part[:1].upper() + part[1:] for part in re.sub(r"[^A-Za-z0-9]", "_", pipe).split("_")) or "Pipe"
        while name in names.values():
            name += "2"
        names[pipe] = name
    return names


def _deprecated(pipe: Pipe, pipes: Mapping[str, Pipe]) -> list[tuple[Deprecation, Parameter]]:
    """Deprecated parameters, each with the one that replaces it: of this pipe, or of the pipe it moved to."""
    replaced = []
    for deprecation in pipe.header.deprecated:
        if deprecation.pipe:
            owner, name = pipes.get(deprecation.pipe), deprecation.name
        else:
            owner, name = pipe, deprecation.parameter
        replaced += [
            (deprecation, parameter) for parameter in (owner.parameters if owner else ()) if parameter.name == name
        ]
    return replaced


def _of_the_service(pipe: Pipe) -> tuple[Parameter, ...]:
    """The parameters that no header declares."""
    return (FRESH, CURSOR) if pipe.limit else (FRESH,)


def _without_default(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Generated clients send defaults: with one here, every request would have the deprecated parameter."""
    return {key: value for key, value in schema.items() if key != "default"}


def _get_operation(pipe: Pipe, operation_id: str, prefix: str, pipes: Mapping[str, Pipe]) -> dict[str, Any]:
    parameters = [
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.required,
            "description": parameter.description,
            "schema": in_query(parameter) if parameter is not FRESH else _without_default(in_query(FRESH)),
        }
        for parameter in (*pipe.parameters, *_of_the_service(pipe))
    ]
    parameters += [
        {
            "name": deprecation.name,
            "in": "query",
            "required": False,
            "deprecated": True,
            "description": deprecation.sentence,
            "schema": _without_default(in_query(replacement)),
        }
        for deprecation, replacement in _deprecated(pipe, pipes)
    ]
    headers = [
        "X-Request-Id",
        "Recommendation-Id",
        "ETag",
        "Cache-Control",
        "Vary",
        "Content-Disposition",
        "Deprecation",
        "Link",
    ]
    responses = {
        "200": _rows_response(prefix, *headers),
        "304": {"description": "If-None-Match has the current ETag: no body.", "headers": header_refs(*headers[:4])},
        **error_refs("400", "404", "405", "406", "500", "503", "504", *KEYED),
    }
    note = "Append .csv, .ndjson or .parquet to the path, or send Accept, for another format."
    return _operation(pipe, operation_id, note) | {"parameters": [*parameters, IF_NONE_MATCH], "responses": responses}


def _post_operation(pipe: Pipe, operation_id: str, prefix: str) -> dict[str, Any]:
    required = any(parameter.required for parameter in pipe.parameters)
    body = {"required": required, "content": {"application/json": {"schema": ref(f"{prefix}Parameters")}}}
    responses = {
        "200": _rows_response(
            prefix, "X-Request-Id", "Recommendation-Id", "Vary", "Content-Disposition", "Deprecation", "Link"
        ),
        **error_refs("400", "404", "405", "406", "413", "500", "503", "504", *KEYED),
    }
    note = "Like GET, with the parameters as a JSON object."
    return _operation(pipe, operation_id, note) | {"requestBody": body, "responses": responses}


def _operation(pipe: Pipe, operation_id: str, note: str) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "tags": ["pipes"],
        "summary": pipe.header.sentence,
        "description": f"{pipe.header.prose} {note}",
    }


def _rows_response(prefix: str, *headers: str) -> dict[str, Any]:
    content: dict[str, Any] = {
        FORMATS["json"]: {"schema": ref(f"{prefix}Answer")},
        FORMATS["csv"]: {"schema": {"type": "string"}},
        FORMATS["ndjson"]: {"schema": {"type": "string", "description": "One row of `data` per line."}},
        FORMATS["parquet"]: {"schema": {"type": "string", "format": "binary"}},
    }
    return {"description": "The rows.", "headers": header_refs(*headers), "content": content}


def _answer(prefix: str) -> dict[str, Any]:
    return record(**answer_members(ref(f"{prefix}Row")))


def answer_members(row: dict[str, Any]) -> dict[str, Any]:
    """The members of an answer with rows of this schema."""
    return {
        "meta": listing(ref("Column")),
        "data": listing(row),
        "rows": "integer",
        "next": {"type": ["string", "null"], "description": "The `cursor` of the next page; null: there is none."},
        "statistics": ref("Statistics"),
        "pipe": ref("AnsweringPipe"),
        "as_of": MOMENT
        | {"description": "The answer contains what was stored until then; null: nothing was stored yet."},
        "recommendation_id": {
            "type": ["string", "null"],
            "description": "The id of this answer, which events about its items bring back; null without a secret that signs it.",
        },
        "request_id": "string",
    }


def _row(pipe: Pipe, pipes: Mapping[str, Pipe]) -> dict[str, Any]:
    """A row of the pipe or of a fallback, which may lack columns and have other types."""
    columns = {name: column_schema(kind) for name, kind in pipe.columns}
    if pipe.adds_source:
        columns[SOURCE] = TEXT | {"description": "The pipe of this row: this one, or a fallback that filled the list."}
    for other, names in chain(pipe, pipes):
        of_other = {names.get(name, name): column_schema(kind) for name, kind in other.selected}
        columns |= {
            name: either(schema, of_other.get(name, NULL))
            for name, schema in columns.items()
            if name != pipe.header.key and not (name == SOURCE and pipe.adds_source)
        }
    return record(pipe.header.sentence, **columns)


def _parameters(pipe: Pipe, pipes: Mapping[str, Pipe]) -> dict[str, Any]:
    properties = {p.name: in_body(p) | {"description": p.description} for p in pipe.parameters}
    for parameter in _of_the_service(pipe):
        properties[parameter.name] = _without_default(in_body(parameter)) | {"description": parameter.description}
    for deprecation, replacement in _deprecated(pipe, pipes):
        properties[deprecation.name] = _without_default(in_body(replacement)) | {
            "description": deprecation.sentence,
            "deprecated": True,
        }
    required = [p.name for p in pipe.parameters if p.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
