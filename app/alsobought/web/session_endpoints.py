"""Log in to the page: exchange a key for a cookie that scripts cannot read and other sites cannot send."""

from __future__ import annotations

from contextlib import nullcontext, suppress

from flask import Blueprint, Response, g, request

from alsobought.access.tokens import SESSION_SECONDS
from alsobought.errors import NotStored
from alsobought.web.access import COOKIE, gate, principal
from alsobought.web.audit import recorded
from alsobought.web.context import json_response

blueprint = Blueprint("sessions", __name__, url_prefix="/workbench/session")


@blueprint.route("", methods=["POST"])
def log_in() -> Response:
    """Takes a secret key with the scope `edit`. The session ends with the key, or after a working day."""
    response = json_response({"request_id": g.request_id})
    if principal().kind == "secret":
        with recorded("workbench.log_in"):
            session = gate().signer.sign_session(principal().id)
        response.set_cookie(
            COOKIE,
            session,
            max_age=SESSION_SECONDS,
            path=request.script_root or "/",
            secure=request.is_secure,
            httponly=True,
            samesite="Strict",
        )
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("", methods=["DELETE"])
def log_out() -> Response:
    """Ends the session in this browser, even if that cannot be recorded."""
    with suppress(NotStored), recorded("workbench.log_out") if principal().kind == "secret" else nullcontext():
        pass
    response = json_response({"request_id": g.request_id})
    response.delete_cookie(COOKIE, path=request.script_root or "/", httponly=True, samesite="Strict")
    return response
