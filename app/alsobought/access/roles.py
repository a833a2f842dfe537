"""Roles: named bundles of scopes for people. A key has the scopes that its role had when it was created. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from alsobought.access.scopes import ADMIN, READ
from alsobought.errors import Unusable

ROLES: Mapping[str, frozenset[str]] = {
    "analyst": frozenset({"edit", "items:read", READ}),
    "admin": frozenset({ADMIN}),
}


def scopes_of(role: str) -> frozenset[str]:
    """Raises Unusable for a role that does not exist."""
    if role not in ROLES:
        raise Unusable(f"{role[:40]!r} is not a role", f"The roles are {' and '.join(ROLES)}")
    return ROLES[role]


def role_of(scopes: Collection[str]) -> str:
    """The role whose scopes these include; empty if there is none.

    >>> role_of({"admin"}), role_of({"edit", "items:read", "pipes:read", "events:write"}), role_of({"pipes:read"})
    ('admin', 'analyst', '')
    """
    return next((role for role in ("admin", "analyst") if ROLES[role] <= frozenset(scopes)), "")


def described(scopes: Collection[str]) -> str:
    """Scopes as people read them: a role, and what is added to it.

    >>> described(["edit", "events:write", "items:read", "pipes:read"]), described(["metrics"])
    ('analyst + events:write', 'metrics')
    """
    if not (role := role_of(scopes)):
        return " ".join(sorted(scopes))
    more = () if role == "admin" else sorted(frozenset(scopes) - ROLES[role])
    return " + ".join((role, *more))
