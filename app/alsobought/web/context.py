"""What endpoints share: the parts of the running application, and JSON responses."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from flask import Response, current_app

from alsobought.service.service import Service
from alsobought.serving.answer import format_time
from alsobought.web.live_events import LiveEvents
from alsobought.web.metrics import Metrics
from alsobought.web.slow_requests import SlowRequests
from alsobought.web.write_slots import WriteSlots


def service() -> Service:
    return cast(Service, current_app.extensions["service"])


def metrics() -> Metrics:
    return cast(Metrics, current_app.extensions["metrics"])


def slow_requests() -> SlowRequests:
    return cast(SlowRequests, current_app.extensions["slow_requests"])


def write_slots() -> WriteSlots:
    return cast(WriteSlots, current_app.extensions["write_slots"])


def live_events() -> LiveEvents:
    return cast(LiveEvents, current_app.extensions["live_events"])


def editing_enabled() -> bool:
    return bool(current_app.extensions["editing"])


def json_response(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body, enc_hook=str), status, mimetype="application/json")


def as_of() -> str | None:
    """The ingest time of the newest event that answers may contain, as JSON has it."""
    return format_time(service().visibility.as_of)
