"""The OpenAPI 3.1 document, from which `/docs` and generated clients are made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.metadata import version
from typing import Any

from alsobought.events import STANDARD_TYPES
from alsobought.pipes.library import Pipe
from alsobought.web.json_schemas import FIXED_SCHEMAS
from alsobought.web.openapi_endpoints import OPERATION_IDS, endpoint_paths, intake_schemas, token_schemas
from alsobought.web.openapi_pipes import pipe_paths, pipe_schemas
from alsobought.web.openapi_responses import error_components, header_components
from alsobought.web.openapi_surfaces import OPERATION_IDS as SURFACE_IDS
from alsobought.web.openapi_surfaces import surface_paths, surface_schemas

TAGS = {
    "surfaces": "Recommendations for a place of the shop, in the experiment that runs there.",
    "pipes": "Recommendations. Each pipe is a SQL file, described by its header comment.",
    "intake": "Events, items and users to store.",
    "service": "Health, metrics, and this description.",
}


SECURITY_SCHEMES = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "A secret key (ab_secret_…), a browser key (ab_public_…), or a signed token.",
    },
    "browserKey": {
        "type": "apiKey",
        "in": "query",
        "name": "key",
        "description": "A browser key or a token, where no header can be set. Secret keys are refused here.",
    },
}


def describe_api(
    pipes: Sequence[Pipe], event_types: Collection[str] = STANDARD_TYPES, *, keys_needed: bool = False
) -> dict[str, Any]:
    """The document for these pipes and for the accepted event types."""
    by_name = {pipe.name: pipe for pipe in pipes}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Alsobought",
            "version": version("alsobought"),
            "summary": "Recommendations that are SQL files.",
            "description": "All errors have the same shape. Every response has a request_id, in X-Request-Id and in"
            " JSON bodies.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "./", "description": "The service that serves this document."}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "security": [{name: []} for name in SECURITY_SCHEMES] + ([] if keys_needed else [{}]),
        "paths": {
            **surface_paths(),
            **pipe_paths(by_name, (*OPERATION_IDS, *SURFACE_IDS)),
            **endpoint_paths(),
        },
        "components": {
            "schemas": {
                **FIXED_SCHEMAS,
                **surface_schemas(),
                **intake_schemas(event_types),
                **token_schemas(),
                **pipe_schemas(by_name),
            },
            "responses": error_components(),
            "headers": header_components(),
            "securitySchemes": SECURITY_SCHEMES,
        },
    }
