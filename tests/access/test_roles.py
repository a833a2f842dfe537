"""Roles as bundles of scopes."""

from __future__ import annotations

import pytest

from alsobought.access.roles import ROLES, described, role_of, scopes_of
from alsobought.access.scopes import SCOPES, Principal, checked_scopes, may
from alsobought.errors import Unusable


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_a_bundle_of_scopes_that_exist(role: str) -> None:
    assert checked_scopes(scopes_of(role), browser=False) == ROLES[role]
    assert (role_of(ROLES[role]), described(ROLES[role])) == (role, role)


def test_an_analyst_has_no_right_to_change_data_or_to_read_the_log() -> None:
    analyst = Principal("secret", scopes=scopes_of("analyst"))
    assert {scope for scope in SCOPES if "NAME" not in scope and may(analyst, scope)} == {
        "pipes:read",
        "items:read",
        "edit",
    }


def test_a_role_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(Unusable, match=r"'king' is not a role\. The roles are analyst and admin"):
        scopes_of("king")
