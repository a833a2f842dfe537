"""Scopes, and the principal of a request: who asks, and what that caller may do. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from alsobought.access.limits import Rate
from alsobought.errors import Unusable
from alsobought.pipes.audience import Audience
from alsobought.pipes.library import is_name

ADMIN, READ, EVENTS = "admin", "pipes:read", "events:write"
SCOPES = {
    READ: "ask every pipe",
    f"{READ}:NAME": "ask this pipe",
    EVENTS: "post events",
    "items:read": "read items of the catalogue",
    "items:write": "change and read the catalogue",
    "users:read": "read attributes of users",
    "users:write": "change and read attributes, merge guests",
    "metrics": "read /metrics, and all of /readyz",
    "edit": "log in to the workbench and ask every pipe; with `serve --edit`, change pipes",
    ADMIN: "everything",
}
# The scope that includes it. Whoever edits pipes can read every row.
INCLUDED = {"items:read": "items:write", "users:read": "users:write", READ: "edit"}
ANY_ORIGIN = "*"
Kind = Literal["open", "anonymous", "secret", "browser", "token"]


@dataclass(frozen=True)
class Principal:
    """Who sends a request. `fixed` are the parameters of a token; `pipes` are the ones that it names, None if it names none."""

    kind: Kind
    id: str = ""
    scopes: frozenset[str] = frozenset()
    origins: tuple[str, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)
    pipes: frozenset[str] | None = None
    expires: float = math.inf
    rate: Rate | None = None

    @property
    def is_key_or_token(self) -> bool:
        return self.kind in ("secret", "browser", "token")

    @property
    def in_browsers(self) -> bool:
        """True if everybody can read what identifies this caller, or if it belongs to one user."""
        return self.kind in ("browser", "token")


OPEN = Principal("open", scopes=frozenset({ADMIN}))
ANONYMOUS = Principal("anonymous")


def may(principal: Principal, scope: str) -> bool:
    """True if a scope is the principal's, or included in one.

    >>> may(Principal("secret", scopes=frozenset({"items:write"})), "items:read")
    True
    """
    scopes = principal.scopes
    return ADMIN in scopes or scope in scopes or INCLUDED.get(scope, ADMIN) in scopes


def reads(principal: Principal, name: str) -> bool:
    """True if a scope of the principal covers this pipe."""
    return may(principal, READ) or f"{READ}:{name}" in principal.scopes


def may_ask(principal: Principal, name: str, users: Audience, given: Collection[str] = ()) -> bool:
    """True if the principal may ask this pipe with the `given` parameters.

    An answer about a user takes a secret key, or a token that fixes the user.
    """
    if not reads(principal, name):
        return False
    if principal.kind == "token":
        return _token_may_ask(principal, name, users, given)
    return principal.kind != "browser" or not users.is_private_with(given)


def _token_may_ask(token: Principal, name: str, users: Audience, given: Collection[str]) -> bool:
    """A token without a list of pipes may ask the public ones, and those about the user that it fixes and nobody else."""
    fixed = token.fixed.keys()
    if not (users.needed | (users.parameters & {*given})) <= fixed:
        return False
    if token.pipes is not None:
        return name in token.pipes
    if users.declared:
        return users.declared == "public" or bool(users.parameters & fixed)
    return users.columns <= (users.parameters & fixed)


def checked_scopes(scopes: Iterable[str], *, browser: bool, pipes: Collection[str] = ()) -> frozenset[str]:
    """Valid scopes of a key. `pipes` are those that exist, none if unknown. Raises Unusable."""
    chosen = frozenset(scopes)
    if not chosen:
        raise Unusable("a key without a scope may do nothing", f"Add --scope, one of {', '.join(SCOPES)}")
    for scope in sorted(chosen):
        name = scope.removeprefix(f"{READ}:")
        of_pipe = scope.startswith(f"{READ}:") and is_name(name)
        if "NAME" in scope or not (scope in SCOPES or of_pipe):
            raise Unusable(f"{scope!r} is not a scope", f"The scopes are {', '.join(SCOPES)}")
        if of_pipe and pipes and name not in pipes:
            raise Unusable(f"the scope {scope} names no pipe", f"There are {', '.join(sorted(pipes))}")
        if browser and not (of_pipe or scope in (READ, EVENTS)):
            raise Unusable(
                f"a browser key cannot have the scope {scope}: everybody can read such a key",
                f"Browser keys have {READ}, {READ}:NAME or {EVENTS}; leave out --browser for a secret key",
            )
    return chosen
