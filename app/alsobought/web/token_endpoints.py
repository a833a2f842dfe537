"""`POST /tokens`: a signed token with which a browser asks about its own user."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, g

from alsobought.access.gate import may_issue
from alsobought.access.scopes import EVENTS, may
from alsobought.access.tokens import Grant
from alsobought.errors import NotAllowed
from alsobought.web.access import HOW, gate, principal
from alsobought.web.audit import actor, audit_log
from alsobought.web.context import json_response
from alsobought.web.request_body import read_object

blueprint = Blueprint("tokens", __name__)


@blueprint.route("/tokens", methods=["POST"])
def post_tokens() -> Response:
    """Sign a token. It has no right that the key lacks, and ends with it."""
    issuer = principal()
    if issuer.in_browsers:
        raise NotAllowed("tokens are issued to a secret key", HOW)
    grant = read_object(Grant, '{"params": {"user_id": "u1"}}')
    if lacking := may_issue(issuer, frozenset(grant.pipes or ())):
        raise NotAllowed(
            f"the key {issuer.id} may not ask the pipe {lacking}", "A token has no right that its key lacks"
        )
    if EVENTS in grant.scopes and not may(issuer, EVENTS):
        raise NotAllowed(f"the key {issuer.id} lacks the scope {EVENTS}", "A token has no right that its key lacks")
    token, expires = gate().signer.sign(grant, "" if issuer.kind == "open" else issuer.id)
    audit_log().count(actor(), "token.issue")  # before anybody has it
    response = json_response(
        {"token": token, "expires_at": datetime.fromtimestamp(expires, UTC), "request_id": g.request_id}, 201
    )
    response.headers["Cache-Control"] = "no-store"
    return response
