"""What the endpoints of pipes and of the workbench have in common: the running shop, JSON, and an answer as its body."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from flask import Response, current_app

from alsobought.service.service import Service
from alsobought.serving.answers import Answer


def shop() -> Service:
    return cast(Service, current_app.extensions["shop"])


def json_response(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body, enc_hook=str), status, mimetype="application/json")


def body_of(found: Answer) -> dict[str, Any]:
    """An answer in JSON, but for what is of the moment: `as_of` and `request_id`."""
    return {
        "meta": found.meta,
        "data": found.dicts(),
        "rows": len(found.data),
        "statistics": found.statistics,
        "pipe": {"name": found.pipe.name, "version": found.pipe.version, "fallback": found.fallback},
    }
