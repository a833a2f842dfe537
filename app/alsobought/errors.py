"""The errors, as one small tree.

    AlsoboughtError             500 internal
    ├── BadRequest              400 bad_request       the body or the path cannot be read
    ├── BadParameters           400 bad_parameters    one detail for each parameter
    ├── BadEvents               400 bad_events        no event of the request could be accepted
    ├── BadItems                400 bad_items         no item of the request could be accepted
    ├── BadUsers                400 bad_users         no user of the request could be accepted
    ├── NotAuthenticated        401 not_authenticated a key, a token or a webhook's secret is missing or not valid
    ├── NotAllowed              403 not_allowed       what the caller may not do
    ├── TooManyRequests         429 too_many_requests the limit of a key or an address
    ├── TooLarge                413 too_large
    ├── WrongHost               421 wrong_host        a name in Host that is not ours
    ├── NoSuchPipe              404 no_such_pipe
    ├── NoSuchSurface           404 no_such_surface
    ├── NoSuchExperiment        404 no_such_experiment
    ├── NoSuchItem              404 no_such_item
    ├── NoSuchUser              404 no_such_user
    ├── NoSuchRequest           404 no_such_request   a request or recommendation id that is not recorded
    ├── UnsupportedEncoding     415 unsupported_encoding  the body is compressed in a way that is not known
    ├── NotAcceptable           406 not_acceptable    no format matches the Accept header
    ├── NotSaved                409 not_saved         a pipe: it was changed by others meanwhile, or has a fault
    ├── PipeBroken              503 pipe_broken       a pipe that never had a valid text
    ├── Busy                    503 busy              the writer's queue is full: try again
    ├── NotStored               503 not_stored        the warehouse refused the write
    ├── TooSlow                 504 too_slow          a limit of the read-only connection was hit
    ├── PipeFault               a fault in a pipe's file, with its line; shown to the analyst, never to the caller
    ├── DamagedParts            503 damaged_parts     parts of `events` are damaged: `GET /readyz`
    ├── WarehouseFault          503 warehouse_fault   the warehouse cannot be opened, or a query failed
    ├── MigrationFault          a migration is missing, edited or failed
    └── Unusable                a setting, a file or a port that a command cannot use

The message describes what happened, the hint what would have worked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Detail:
    """One fault of a request: the parameter and its problem."""

    param: str
    problem: str


def error_json(code: str, message: str, hint: str, details: Sequence[Detail], request_id: str) -> dict[str, object]:
    """The JSON body of every error response."""
    error = {"code": code, "message": message, "hint": hint, "details": details}
    return {"error": error, "request_id": request_id}


class AlsoboughtError(Exception):
    """The root. An HTTP caller sees `status` and `code`."""

    status = 500
    code = "internal"

    def __init__(self, message: str, hint: str = "", details: tuple[Detail, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class BadRequest(AlsoboughtError):
    status, code = 400, "bad_request"


class BadParameters(AlsoboughtError):
    status, code = 400, "bad_parameters"


class BadEvents(AlsoboughtError):
    status, code = 400, "bad_events"


class BadItems(AlsoboughtError):
    status, code = 400, "bad_items"


class BadUsers(AlsoboughtError):
    status, code = 400, "bad_users"


class NotAuthenticated(AlsoboughtError):
    status, code = 401, "not_authenticated"


class NotAllowed(AlsoboughtError):
    status, code = 403, "not_allowed"


class TooManyRequests(AlsoboughtError):
    status, code = 429, "too_many_requests"


class NotSaved(AlsoboughtError):
    status, code = 409, "not_saved"


class WrongHost(AlsoboughtError):
    status, code = 421, "wrong_host"


class TooLarge(AlsoboughtError):
    status, code = 413, "too_large"


class NoSuchPipe(AlsoboughtError):
    status, code = 404, "no_such_pipe"


class NoSuchSurface(AlsoboughtError):
    status, code = 404, "no_such_surface"


class NoSuchExperiment(AlsoboughtError):
    status, code = 404, "no_such_experiment"


class NoSuchItem(AlsoboughtError):
    status, code = 404, "no_such_item"


class NoSuchUser(AlsoboughtError):
    status, code = 404, "no_such_user"


class NoSuchRequest(AlsoboughtError):
    status, code = 404, "no_such_request"


class UnsupportedEncoding(AlsoboughtError):
    status, code = 415, "unsupported_encoding"


class NotAcceptable(AlsoboughtError):
    status, code = 406, "not_acceptable"


class PipeBroken(AlsoboughtError):
    status, code = 503, "pipe_broken"


class Busy(AlsoboughtError):
    status, code = 503, "busy"


class NotStored(AlsoboughtError):
    status, code = 503, "not_stored"


class TooSlow(AlsoboughtError):
    status, code = 504, "too_slow"


class PipeFault(AlsoboughtError):
    """A fault in a pipe's text. `line` counts from 1; 0 is the entire file. `others` are further faults of the same text."""

    code = "pipe_fault"

    def __init__(self, message: str, hint: str = "", line: int = 0) -> None:
        super().__init__(message, hint)
        self.line = line
        self.others: tuple[PipeFault, ...] = ()

    @property
    def all(self) -> tuple[PipeFault, ...]:
        return (self, *self.others)

    def finding(self, severity: str) -> dict[str, Any]:
        """The fault as JSON, for editors and programs."""
        return {"line": self.line, "severity": severity, "message": self.message, "hint": self.hint}

    @classmethod
    def together(cls, faults: Iterable[PipeFault]) -> PipeFault:
        """Several faults of one text as one: the first by line, with the others in order, without duplicates."""
        distinct = {(fault.line, fault.message): fault for combined in faults for fault in combined.all}
        first, *others = sorted(distinct.values(), key=lambda fault: fault.line or sys.maxsize)
        combined_fault = cls(first.message, first.hint, first.line)
        combined_fault.others = tuple(others)
        return combined_fault


class NotOverShards(PipeFault):
    """A text that works on one server, and not over the shards of a cluster."""


class WarehouseFault(AlsoboughtError):
    status, code = 503, "warehouse_fault"


class DamagedParts(AlsoboughtError):
    status, code = 503, "damaged_parts"


class MigrationFault(AlsoboughtError):
    code = "migration_fault"


class Unusable(AlsoboughtError):
    code = "unusable"
