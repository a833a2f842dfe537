"""Answers to requests with a deprecated parameter: the header `Deprecation` (RFC 9745), and one line in the log for each."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, time

from flask import Response, current_app

from alsobought.pipes.header import Deprecation

log = logging.getLogger(__name__)


def mark(response: Response, pipe: str, used: Sequence[Deprecation]) -> None:
    """`used`: the deprecated parameters of the request. The header has the earliest date from which one is deprecated."""
    if not used:
        return
    since = datetime.combine(min(one.since for one in used), time(), UTC)
    response.headers["Deprecation"] = f"@{since.timestamp():.0f}"
    logged: set[tuple[str, str]] = current_app.extensions.setdefault("deprecations", set())
    for one in used:
        if (pipe, one.name) not in logged:
            logged.add((pipe, one.name))
            log.warning("pipes/%s: the parameter %s is %s", pipe, one.name, one.sentence)
