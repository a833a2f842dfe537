"""The OpenAPI operations that every service has: intake, health, metrics, descriptions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from alsobought.access.audit_reading import MAX_ENTRIES
from alsobought.events import ID_LENGTH, Event
from alsobought.items import Item
from alsobought.users import MAX_ATTRIBUTES, MAX_BYTES, NAME, User
from alsobought.web.json_schemas import MOMENT, listing, record, ref
from alsobought.web.openapi_responses import KEYED, error_refs, header_refs, json_response

OPERATION_IDS = (
    "list_pipes",
    "post_events",
    "post_items",
    "post_users",
    "post_segment_calls",
    "post_ga4_events",
    "post_snowplow_events",
    "get_item",
    "delete_item",
    "get_user",
    "delete_user",
    "merge_users",
    "unmerge_users",
    "post_tokens",
    "healthz",
    "readyz",
    "metrics",
    "show_audit",
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
        "/items": {
            "post": _intake("items", "Item", "Add products to the catalogue, or change fields of them.", REPLACE)
        },
        "/items/{item_id}": {"get": _get_item(), "delete": _delete_item()},
        "/users": {"post": _intake("users", "User", "Change attributes of users.", REPLACE)},
        "/users/{user_id}": {"get": _get_user(), "delete": _delete_user()},
        "/users/merge": {"post": _merge()},
        "/users/unmerge": {"post": _unmerge()},
        "/events/segment": {"post": _webhook("post_segment_calls", "Store calls of Segment or RudderStack.")},
        "/events/ga4": {"post": _webhook("post_ga4_events", "Store events of Google Analytics' Measurement Protocol.")},
        "/events/snowplow": {"post": _webhook("post_snowplow_events", "Store enriched events of Snowplow, as JSON.")},
        "/tokens": {"post": _tokens()},
        "/healthz": {"get": _operation("healthz", "service", "Liveness: the process runs.", "500", ok="Alive")},
        "/readyz": {"get": _operation("readyz", "service", "Readiness: it can answer.", "500", "503", ok="Ready")},
        "/metrics": {"get": metrics},
        "/audit": {"get": _audit()},
        "/openapi.json": {"get": _operation("openapi", "service", "This document.", "500", "503", ok="")},
    }


def intake_schemas(event_types: Collection[str]) -> dict[str, Any]:
    """Event, Item, User, Merge and Unmerge: the bodies of the intake endpoints."""
    _, schemas = msgspec.json.schema_components([Event, Item, User], ref_template="#/components/schemas/{name}")
    schemas["Event"]["properties"]["event_type"] = {"type": "string", "enum": sorted(event_types)}
    schemas["User"]["properties"]["attributes"] = ATTRIBUTES
    ids = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH}
    merge = record(
        guest_id=ids | {"description": "The id of the events to reassign: a guest's session_id, or another user_id."},
        user_id=ids | {"description": "The account."},
    )
    unmerge = record(guest_id=ids | {"description": "The id that was merged into an account."})
    closed = {"additionalProperties": False}
    return {name: schemas[name] for name in ("Event", "Item", "User")} | {
        "Merge": merge | closed,
        "Unmerge": unmerge | closed,
    }


def _operation(operation_id: str, tag: str, summary: str, *errors: str, ok: str | None = None) -> dict[str, Any]:
    """`ok` names the schema of the 200 response; it is empty for any object."""
    responses: dict[str, Any] = {}
    if ok is not None:
        responses["200"] = json_response("OK.", ref(ok) if ok else {"type": "object"})
    keyless = operation_id in ("healthz", "readyz")
    responses |= error_refs(*{"405", *errors, *(() if keyless else KEYED)})
    operation = {"operationId": operation_id, "tags": [tag], "summary": summary, "responses": responses}
    return operation | {"security": []} if keyless else operation


def _switch(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "boolean", "default": False}
    return {"name": name, "in": "query", "description": f"true: {description}", "schema": schema}


WAIT = _switch("wait", "respond 200 once answers contain the rows, or 202 if that takes longer than 30 seconds.")
REPLACE = _switch("replace", "clear the fields that an object does not name.")
ITEM_ID, USER_ID = (
    {
        "name": f"{name}_id",
        "in": "path",
        "required": True,
        "description": f"The id of {article} {name}; it may contain slashes.",
        "schema": {"type": "string", "minLength": 1, "maxLength": ID_LENGTH},
    }
    for article, name in (("an", "item"), ("a", "user"))
)
WORD = {"anyOf": [{"type": "string", "maxLength": MAX_BYTES}, {"type": "number"}, {"type": "boolean"}]}
ATTRIBUTES = {
    "type": ["object", "null"],
    "description": "Words, numbers, booleans, or lists of words; null clears an attribute.",
    "maxProperties": MAX_ATTRIBUTES,
    "propertyNames": {"pattern": f"^{NAME.pattern}$"},
    "additionalProperties": {"anyOf": [*WORD["anyOf"], listing(WORD) | {"maxItems": MAX_ATTRIBUTES}, {"type": "null"}]},
}


def _intake(collection: str, schema: str, summary: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    content = {
        "application/json": {"schema": {"anyOf": [ref(schema), listing(ref(schema))]}},
        "application/x-ndjson": {"schema": {"type": "string"}},
    }
    note = " An event needs a user_id or a session_id. A call of Segment, GA4 or Snowplow may stand in place of one."
    note = note if schema == "Event" else ""
    operation = _storing(f"post_{collection}", summary, "413", "415")
    return operation | {
        "description": f"Send one object, an array, or one object per line.{note} Valid objects are stored even if"
        " others are rejected.",
        "parameters": [WAIT, *parameters],
        "requestBody": {"required": True, "content": content},
    }


def _storing(operation_id: str, summary: str, *errors: str) -> dict[str, Any]:
    operation = _operation(operation_id, "intake", summary, "400", "500", "503", *errors)
    stored = {
        "200": json_response("Stored, and visible in answers.", ref("Accepted")),
        "202": json_response("Stored.", ref("Accepted")),
    }
    return operation | {"responses": stored | operation["responses"]}


def _webhook(operation_id: str, summary: str) -> dict[str, Any]:
    schema = {"anyOf": [{"type": "object"}, listing({"type": "object"})]}
    content = {"application/json": {"schema": schema}, "application/x-ndjson": {"schema": {"type": "string"}}}
    return _storing(operation_id, summary, "413", "415") | {
        "description": "Send one, an array, or one per line, as the tool sends them. Those that are none of ours are skipped.",
        "parameters": [WAIT],
        "requestBody": {"required": True, "content": content},
    }


def _get_item() -> dict[str, Any]:
    operation = _operation("get_item", "intake", "What is stored of a product.", "404", "500", "503", ok="")
    return operation | {"parameters": [ITEM_ID]}


def _delete_item() -> dict[str, Any]:
    operation = _storing("delete_item", "Take a product out of the catalogue.", "404")
    return operation | {
        "description": "It is on no list until it is posted again. Idempotent.",
        "parameters": [ITEM_ID, WAIT],
    }


def _get_user() -> dict[str, Any]:
    operation = _operation("get_user", "intake", "The attributes of a user.", "404", "500", "503", ok="StoredUser")
    return operation | {"parameters": [USER_ID]}


def _delete_user() -> dict[str, Any]:
    operation = _storing("delete_user", "Delete the attributes of a user.", "404")
    return operation | {
        "description": "The user keeps the events: `alsobought forget` erases all. Idempotent.",
        "parameters": [USER_ID, WAIT],
    }


def _merge() -> dict[str, Any]:
    summary = "Assign a guest's past and future events to an account."
    operation = _operation("merge_users", "intake", summary, "400", "413", "500", "503", ok="Merged")
    return operation | {
        "description": "Afterwards every count is as if there had always been one user. Idempotent. Placeholders such as"
        " `undefined` are refused.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref("Merge")}}},
    }


def _unmerge() -> dict[str, Any]:
    summary = "Undo a merge: give a guest its past and future events back."
    operation = _operation("unmerge_users", "intake", summary, "400", "413", "500", "503", ok="Unmerged")
    return operation | {
        "description": "The account keeps its own events; every count is as if the guest had never been merged."
        " Possible for ALSOBOUGHT_UNMERGE_DAYS after the merge.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref("Unmerge")}}},
    }


def _tokens() -> dict[str, Any]:
    operation = _operation("post_tokens", "service", "Sign a token for one user's browser.", "400", "413", "500", "503")
    operation["responses"] |= {"201": json_response("The token.", ref("Token"))}
    return operation | {
        "description": "Its `params` are fixed: requests with the token need not name them and cannot change them.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref("Grant")}}},
    }


def _audit() -> dict[str, Any]:
    summary = "Who changed what, newest first: for administrators."
    operation = _operation("show_audit", "service", summary, "400", "500", "503", ok="AuditLog")
    described = {
        "since": "From this time on: 7d, 24h, 30m or 2026-03-01.",
        "actor": "Of this key, user of the machine, or address.",
        "action": "This action, such as key.create, or `key` for all of keys.",
        "user": "About this user.",
    }
    parameters = [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in described.items()
    ]
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_ENTRIES, "default": 100}
    return operation | {"parameters": [*parameters, {"name": "limit", "in": "query", "schema": limit}]}


def token_schemas() -> dict[str, Any]:
    """Grant and Token: the body and the answer of POST /tokens."""
    grant = record(
        params={"type": "object", "additionalProperties": {"type": "string"}, "description": "Fixed parameters."},
        pipes=listing("string")
        | {"description": "The only pipes; without it, public ones and those of the user alone."},
        scopes=listing("string") | {"description": "pipes:read, events:write or both."},
        origin="string",
        seconds={"type": "integer", "minimum": 1, "description": "At most ALSOBOUGHT_TOKEN_SECONDS, the default."},
    )
    return {
        "Grant": {**grant, "required": [], "additionalProperties": False},
        "Token": record(**{"token": "string"}, expires_at=MOMENT, request_id="string"),
    }
