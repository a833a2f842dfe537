"""The OpenAPI operations and schemas of the surfaces: the same for each, since a shop changes them without a new client."""

from __future__ import annotations

from typing import Any

from alsobought.pipes.parameters import CURSOR, FRESH, Parameter
from alsobought.serving.surface_requests import SESSION, USER
from alsobought.web.formats import FORMATS
from alsobought.web.json_schemas import NULL, TEXT, either, in_query, listing, record, ref
from alsobought.web.openapi_pipes import IF_NONE_MATCH, answer_members
from alsobought.web.openapi_responses import KEYED, error_refs, header_refs, json_response

OPERATION_IDS = ("recommend", "post_recommend", "recommend_on", "post_recommend_on")
NAME = {
    "name": "surface",
    "in": "path",
    "required": True,
    "description": "The name of a surface in sql/surfaces.yaml, such as product_page.bottom.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}
NAMES = {
    "name": "surface",
    "in": "query",
    "required": False,
    "description": "A surface of the page; repeat it, the most important one first. Without it: the list of surfaces.",
    "schema": {"type": "array", "items": {"type": "string"}, "maxItems": 20},
}
ITEMS, EXCLUDE = (
    Parameter(name, "String", description, optional=True, repeated=True)
    for name, description in (
        ("item_id", "the product on the page, or those in the cart; repeat it"),
        ("exclude", "items to leave out; repeat it"),
    )
)
NOTE = "A surface also takes the other parameters of its pipe, such as category or language, unless it fixes them."
PAGE_ERRORS = ("400", "404", "405", "406", "500", "503", "504", *KEYED)


def surface_paths() -> dict[str, Any]:
    page = json_response("The lists.", ref("RecommendedPage"))
    both = json_response(
        "The lists, or which surfaces there are.", {"anyOf": [ref("RecommendedPage"), ref("Surfaces")]}
    )
    several = (
        "No item, and no variant of it, is on two lists of a page. Earlier surfaces win. A surface whose pipe fails has an"
        " error in its place; where all fail, the status is that of the first."
    )
    body = {"required": True, "content": {"application/json": {"schema": ref("RecommendParameters")}}}
    one = {"200": _list("X-Request-Id", "Recommendation-Id", "ETag", "Cache-Control", "Vary", "Link")}
    unchanged = {"304": {"description": "If-None-Match has the current ETag: no body."}}
    return {
        "/recommend": {
            "get": _operation("recommend", "The lists of several surfaces of a page.", f"{several} {NOTE}")
            | {"parameters": [NAMES, *map(_query, (USER, SESSION, ITEMS, EXCLUDE, FRESH))]}
            | {"responses": {"200": both, **error_refs(*PAGE_ERRORS)}},
            "post": _operation("post_recommend", "The lists of several surfaces of a page.", f"{several} {NOTE}")
            | {"requestBody": body, "responses": {"200": page, **error_refs("413", *PAGE_ERRORS)}},
        },
        "/recommend/{surface}": {
            "get": _operation("recommend_on", "The list of a surface.", NOTE)
            | {"parameters": [NAME, *map(_query, (USER, SESSION, ITEMS, EXCLUDE, CURSOR, FRESH)), IF_NONE_MATCH]}
            | {"responses": {**one, **unchanged, **error_refs(*PAGE_ERRORS)}},
            "post": _operation(
                "post_recommend_on", "The list of a surface.", f"The parameters are a JSON object. {NOTE}"
            )
            | {"parameters": [NAME], "requestBody": body | {"required": False}}
            | {"responses": {**one, **error_refs("413", *PAGE_ERRORS)}},
        },
    }


def surface_schemas() -> dict[str, Any]:
    names = {"type": ["string", "null"]}
    return {
        "RecommendedList": record(
            **answer_members({"type": "object", "description": "The columns of the pipe; item_id or other_item_id."}),
            surface=TEXT | {"description": "The surface for which the list was made."},
            experiment=names | {"description": "The experiment in which this user or session is; null: in none."},
            variant=names
            | {
                "description": "The variant of it; `interleaved` for a list that two variants fill; null without an experiment."
            },
        ),
        "RecommendedPage": record(
            surfaces={"type": "object", "additionalProperties": {"anyOf": [ref("RecommendedList"), ref("FailedList")]}},
            request_id="string",
        ),
        "FailedList": record("In place of a list whose pipe failed.", error=ref("Fault")),
        "RecommendParameters": {
            "type": "object",
            "properties": {
                "surface": {"anyOf": [listing("string"), TEXT], "description": "The surfaces of the page."},
                **{one.name: _body(one) for one in (USER, SESSION, ITEMS, EXCLUDE)},
            },
        },
        "Surface": record(
            name="string",
            pipe="string",
            limit={"type": ["integer", "null"], "description": "The number of items; null: that of the pipe."},
            fallbacks=listing("string"),
            fixed={"type": "object", "description": "The parameters that a request cannot change."},
            parameters=listing(ref("PipeParameter")),
        ),
        "Surfaces": record(surfaces=listing(ref("Surface")), request_id="string"),
    }


def _operation(operation_id: str, summary: str, description: str) -> dict[str, Any]:
    return {"operationId": operation_id, "tags": ["surfaces"], "summary": summary, "description": description}


def _query(parameter: Parameter) -> dict[str, Any]:
    schema = {key: value for key, value in in_query(parameter).items() if key != "default"}
    return {
        "name": parameter.name,
        "in": "query",
        "required": False,
        "description": parameter.description,
        "schema": schema,
    }


def _body(parameter: Parameter) -> dict[str, Any]:
    return either(in_query(parameter), NULL) | {"description": parameter.description}


def _list(*headers: str) -> dict[str, Any]:
    content = {
        FORMATS["json"]: {"schema": ref("RecommendedList")},
        FORMATS["csv"]: {"schema": {"type": "string"}},
        FORMATS["ndjson"]: {"schema": {"type": "string", "description": "One row of `data` per line."}},
        FORMATS["parquet"]: {"schema": {"type": "string", "format": "binary"}},
    }
    return {"description": "The list.", "headers": header_refs(*headers), "content": content}
