"""`GET /audit`: who changed what, for admins."""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response, g, request

from alsobought.access.audit_reading import MAX_ENTRIES, Filter, entries, read_since
from alsobought.errors import BadRequest
from alsobought.web.access import principal
from alsobought.web.audit import audit_log
from alsobought.web.context import editing_enabled, json_response, service
from alsobought.web.guard import require_viewer

blueprint = Blueprint("audit", __name__)
PARAMETERS = ("since", "actor", "action", "user", "limit")


@blueprint.route("/audit")
def show_audit() -> Response:
    """The newest entries that match. Without keys, only to browsers on this machine."""
    if principal().kind == "open":
        require_viewer(service().settings, request, edit=editing_enabled())
    if unknown := set(request.args) - {*PARAMETERS}:
        raise BadRequest(f"{min(unknown)[:40]!r} is not a parameter", f"Those of /audit are {', '.join(PARAMETERS)}")
    since = request.args.get("since", "")
    limit = request.args.get("limit", "100")
    if not limit.isdecimal() or not 1 <= int(limit) <= MAX_ENTRIES:
        raise BadRequest(f"limit: {limit[:40]!r} is not between 1 and {MAX_ENTRIES:,}")
    wanted = Filter(
        since=read_since(since) if since else None,
        actor=request.args.get("actor", ""),
        action=request.args.get("action", ""),
        user=request.args.get("user", ""),
        limit=int(limit),
    )
    listed = [msgspec.structs.asdict(entry) for entry in entries(audit_log().warehouse, wanted)]
    response = json_response({"entries": listed, "request_id": g.request_id})
    response.headers["Cache-Control"] = "no-store"
    return response
