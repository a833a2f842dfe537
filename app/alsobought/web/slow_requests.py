"""Log requests to pipes that took long: one line each, with what they read and how to look closer.

The plan is asked of the engine in a thread of its own, at most once a minute for each pipe: many slow requests do not make the
engine slower. Values of parameters are shown where they cannot tell who asked, or what a person typed.
"""

from __future__ import annotations

import contextvars
import logging
import re
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from alsobought.errors import AlsoboughtError
from alsobought.pipes.audience import Audience, names_user
from alsobought.pipes.pipe import Pipe
from alsobought.service.service import Service
from alsobought.serving.answer import Answer
from alsobought.serving.explain import TableRead, plan
from alsobought.serving.lane import Lane

log = logging.getLogger(__name__)

PLAN_SECONDS = 60.0  # between two plans of one pipe
PLANNED = (200, 504)  # statuses of requests that ran a query
MAX_WAITING = 16  # requests whose plan is still to be asked
MAX_VALUES, MAX_TEXT = 5, 60
MIN_WAITED = 0.01  # seconds in the queue of a lane that the message shows
ITEM_NAME = re.compile(r"(?:\w+_)?(?:item|category|group)(?:_ids?)?|exclude|event_types?|language", re.IGNORECASE)
HIDDEN = "…"


class SlowRequests:
    """Thread-safe. `audience_of` says which parameters of a pipe name a user."""

    def __init__(self, service: Service, audience_of: Callable[[Pipe], Audience]) -> None:
        self._service, self._audience_of = service, audience_of
        self._lane = Lane("slow-requests", 1, MAX_WAITING)
        self._planned_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(
        self,
        name: str,
        raw: Mapping[str, Sequence[Any]],
        answer: Answer | None,
        status: int,
        seconds: float,
        waited: float = 0.0,
    ) -> None:
        """Log this request if it was slow, or `waited` long for a thread. The caller does not wait for the plan."""
        limit = self._service.settings.slow_seconds
        if not limit or seconds + waited < limit:
            return
        pipe = answer.pipe if answer else self._pipe(name, raw)
        if pipe is None:
            return
        statistics = answer.statistics if answer and not answer.cached else None
        values = shown_parameters(pipe, self._audience_of(pipe), raw)
        details: dict[str, Any] = {
            "pipe": name,
            "version": pipe.version,
            "status": status,
            "seconds": round(seconds, 3),
            "waited": round(waited, 3),
            "cached": bool(answer and answer.cached),
            "rows": len(answer.data) if answer else 0,
            "rows_read": statistics.rows_read if statistics else 0,
            "bytes_read": statistics.bytes_read if statistics else 0,
            "parameters": values,
            "explain": explain_command(name, values),
        }
        current = contextvars.copy_context()  # with the request_id
        has_plan = status in PLANNED and self._is_due(name)
        if not (has_plan and self._lane.submit(current.run, self._log_with_plan, pipe, raw, details)):
            _log(details)

    def _pipe(self, name: str, raw: Mapping[str, Sequence[Any]]) -> Pipe | None:
        with suppress(AlsoboughtError):
            return self._service.library.answering(name, raw)
        return None

    def _is_due(self, name: str) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._planned_at.get(name, -PLAN_SECONDS) < PLAN_SECONDS:
                return False
            self._planned_at[name] = now
            return True

    def _log_with_plan(self, pipe: Pipe, raw: Mapping[str, Sequence[Any]], details: dict[str, Any]) -> None:
        try:
            reads = plan(self._service.warehouse, pipe, raw, self._service.clock())
        except AlsoboughtError as error:
            details["plan_fault"] = error.code  # the message may have values
        else:
            details["plan"] = [_described(read) for read in reads]
        _log(details)


def _log(details: dict[str, Any]) -> None:
    log.warning(
        "slow: %s took %.2f s%s and read %s rows; look closer with `%s`",
        details["pipe"],
        details["seconds"],
        f" after waiting {details['waited']:.2f} s" if details["waited"] >= MIN_WAITED else "",
        f"{details['rows_read']:,}",
        details["explain"],
        extra={"details": details},
    )


def _described(read: TableRead) -> dict[str, Any]:
    described: dict[str, Any] = msgspec.to_builtins(read)
    return {name: value for name, value in described.items() if value not in (None, [])}


def shown_parameters(pipe: Pipe, users: Audience, raw: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """The parameters that the pipe declares; … for values that may be personal, and for what is no parameter of its type."""
    shown = {}
    for parameter in pipe.parameters:
        if values := raw.get(parameter.name):
            is_user = parameter.name in users.parameters or names_user(parameter.name)
            is_text = "String" in parameter.type and not parameter.choices
            is_open = not is_user and (not is_text or bool(ITEM_NAME.fullmatch(parameter.name)))
            text = ",".join(map(str, values[:MAX_VALUES])) + (",…" if len(values) > MAX_VALUES else "")
            encodable = text[:MAX_TEXT].encode(errors="replace").decode()
            shown[parameter.name] = encodable if is_open else HIDDEN
    return shown


def explain_command(name: str, parameters: Mapping[str, str]) -> str:
    """
    >>> explain_command("for_you", {"user_id": "…", "limit": "10"})
    'alsobought pipe explain for_you user_id=… limit=10'
    """
    words = [value if re.fullmatch(r"[\w.,:…-]*", value) else shlex.quote(value) for value in parameters.values()]
    given = [f"{parameter}={word}" for parameter, word in zip(parameters, words, strict=True)]
    return " ".join(["alsobought pipe explain", name, *given])
