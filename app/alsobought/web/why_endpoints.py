"""`GET /workbench/why/<id>`: why a user saw a list. It is personal data, so that the audit log has who read it."""

from __future__ import annotations

from flask import Blueprint, Response

from alsobought.serving.why import Explainer
from alsobought.web import audit
from alsobought.web.context import service
from alsobought.web.workbench_endpoints import require_workbench, uncached_response

blueprint = Blueprint("why", __name__, url_prefix="/workbench/why")


@blueprint.route("/<path:text>")
def show_why(text: str) -> Response:
    """The explanation of the request with this request_id or recommendation_id."""
    require_workbench()
    running = service()
    if running.request_log:
        running.request_log.flush()
    ids, layout = running.recommendations.ids, running.surfaces.current()
    explainer = Explainer(running.warehouse, running.library, ids, running.settings, layout)
    rows = explainer.find(text, running.clock())
    users = [audit.user(user) for user in rows[0].users]
    with audit.recorded("request.explain", " ".join([f"request {rows[0].request_id}", *users])):
        explained = explainer.why(rows)
    return uncached_response({"why": explained})
