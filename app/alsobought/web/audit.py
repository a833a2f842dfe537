"""Record in the audit log what a request changes, and who sent it."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import Any, cast

from flask import Response, current_app, g, request

from alsobought.access.audit import FAILED, Actor
from alsobought.access.audit_log import AuditLog
from alsobought.errors import NotStored
from alsobought.storage.identities import user_key
from alsobought.web.access import FORWARDED, PROXY_FIX, gate, principal

log = logging.getLogger(__name__)

LOG_IN = "sessions.log_in"
OF_THE_PAGE = ("sessions", "editing")  # blueprints that only the workbench calls


def audit_log() -> AuditLog:
    return cast(AuditLog, current_app.extensions["audit"])


def actor() -> Actor:
    """Who sends the current request."""
    asking = principal()
    peer = request.environ.get(PROXY_FIX, request.environ).get("REMOTE_ADDR", "")
    by_page = request.blueprint in OF_THE_PAGE or g.get("by_session", False)
    return Actor(
        via="workbench" if by_page else "api",
        id=asking.id,
        name=gate().name_of(asking.id),
        address=gate().client(peer, request.headers.getlist(FORWARDED)),
    )


def recorded(action: str, subject: str = "", **detail: Any) -> AbstractContextManager[dict[str, Any]]:
    """The body of `with` is the action (`access.audit_log`). Raises NotStored: then it does not run."""
    return audit_log().recorded(actor(), action, subject, detail)


def user(user_id: str) -> str:
    """A user as the audit log names one: by key, so that it holds no user_id which `forget` would have to erase."""
    return f"user {user_key(audit_log().warehouse, user_id)}"


def record_failed_login(response: Response) -> Response:
    """After a request: a login that failed is counted for its address. It is refused in any case."""
    if request.endpoint == LOG_IN and response.status_code in (401, 403, 429):
        try:
            audit_log().count(actor(), "workbench.log_in_failed", str(response.status_code), FAILED)
        except NotStored as error:
            log.warning("a refused login is not in the audit log: %s", error.message)
    return response
