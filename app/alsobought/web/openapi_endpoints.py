"""The OpenAPI operations that every service has: intake, health, metrics, descriptions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from alsobought.events import ID_LENGTH, Event, Item
from alsobought.web.json_schemas import listing, record, ref
from alsobought.web.openapi_responses import error_refs, header_refs, json_response

OPERATION_IDS = (
    "list_pipes",
    "post_events",
    "post_items",
    "merge_users",
    "unmerge_users",
    "healthz",
    "readyz",
    "metrics",
    "openapi",
)


def endpoint_paths() -> dict[str, Any]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    metrics = _operation("metrics", "service", "Counters and gauges in the Prometheus format.", "500")
    metrics["responses"]["200"] = {"description": "Text.", "headers": header_refs("X-Request-Id"), "content": text}
    pipes = _operation("list_pipes", "pipes", "List the pipes with parameters and columns.", "500", "503", ok="Pipes")
    return {
        "/pipes": {"get": pipes},
        "/events": {"post": _intake("events", "Event", "Store events.")},
        "/items": {"post": _intake("items", "Item", "Store or replace products of the catalogue.")},
        "/users/merge": {"post": _merge()},
        "/users/unmerge": {"post": _unmerge()},
        "/healthz": {"get": _operation("healthz", "service", "Liveness: the process runs.", "500", ok="Alive")},
        "/readyz": {"get": _operation("readyz", "service", "Readiness: it can answer.", "500", "503", ok="Ready")},
        "/metrics": {"get": metrics},
        "/openapi.json": {"get": _operation("openapi", "service", "This document.", "500", "503", ok="")},
    }


def intake_schemas(event_types: Collection[str]) -> dict[str, Any]:
    """Event, Item, Merge and Unmerge: the bodies of the intake endpoints."""
    _, schemas = msgspec.json.schema_components([Event, Item], ref_template="#/components/schemas/{name}")
    schemas["Event"]["properties"]["event_type"] = {"type": "string", "enum": sorted(event_types)}
    ids = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH}
    merge = record(
        guest_id=ids | {"description": "The id of the events to reassign: a guest's session_id, or another user_id."},
        user_id=ids | {"description": "The account."},
    )
    unmerge = record(guest_id=ids | {"description": "The id that was merged into an account."})
    closed = {"additionalProperties": False}
    return {name: schemas[name] for name in ("Event", "Item")} | {"Merge": merge | closed, "Unmerge": unmerge | closed}


def _operation(operation_id: str, tag: str, summary: str, *errors: str, ok: str | None = None) -> dict[str, Any]:
    """`ok` names the schema of the 200 response; it is empty for any object."""
    responses: dict[str, Any] = {}
    if ok is not None:
        responses["200"] = json_response("OK.", ref(ok) if ok else {"type": "object"})
    responses |= error_refs("405", *errors)
    return {"operationId": operation_id, "tags": [tag], "summary": summary, "responses": responses}


def _intake(collection: str, schema: str, summary: str) -> dict[str, Any]:
    wait = {
        "name": "wait",
        "in": "query",
        "description": "true: respond 200 once answers contain the rows, or 202 if that takes longer than 30 seconds.",
        "schema": {"type": "boolean", "default": False},
    }
    content = {
        "application/json": {"schema": {"anyOf": [ref(schema), listing(ref(schema))]}},
        "application/x-ndjson": {"schema": {"type": "string"}},
    }
    note = " An event needs a user_id or a session_id. Segment track calls are accepted." if schema == "Event" else ""
    operation = _operation(f"post_{collection}", "intake", summary, "400", "403", "413", "500", "503")
    operation["responses"] = {
        "200": json_response("Stored, and visible in answers.", ref("Accepted")),
        "202": json_response("Stored.", ref("Accepted")),
        **operation["responses"],
    }
    return operation | {
        "description": f"Send one object, an array, or one object per line.{note} Valid objects are stored even if"
        " others are rejected.",
        "parameters": [wait],
        "requestBody": {"required": True, "content": content},
    }


def _merge() -> dict[str, Any]:
    summary = "Assign a guest's past and future events to an account."
    operation = _operation("merge_users", "intake", summary, "400", "403", "413", "500", "503", ok="Merged")
    return operation | {
        "description": "Afterwards every count is as if there had always been one user. Idempotent. Placeholders such as"
        " `undefined` are refused.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref("Merge")}}},
    }


def _unmerge() -> dict[str, Any]:
    summary = "Undo a merge: give a guest its past and future events back."
    operation = _operation("unmerge_users", "intake", summary, "400", "403", "413", "500", "503", ok="Unmerged")
    return operation | {
        "description": "The account keeps its own events; every count is as if the guest had never been merged."
        " Possible for ALSOBOUGHT_UNMERGE_DAYS after the merge.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref("Unmerge")}}},
    }
