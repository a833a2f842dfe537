"""What `doctor` finds about keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from alsobought.access.keys import NewKey, create_key, revoke_key
from alsobought.diagnostics.access_checks import check_access
from alsobought.service.service import Service
from alsobought.settings import Settings
from alsobought.writer.submission import utc_now

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens


@pytest.fixture
def found(shop: Service) -> Callable[..., list[tuple[str, str]]]:
    def check(**settings: str) -> list[tuple[str, str]]:
        changed = msgspec.structs.replace(Settings(), **settings)
        return [(finding.state, finding.message) for finding in check_access(shop.warehouse, changed)]

    return check


def test_who_may_reach_the_service(shop: Service, found: Callable[..., list[tuple[str, str]]]) -> None:
    assert found() == [("ok", "open: only this machine reaches the service, and there is no key")]
    assert found(host=EVERYWHERE) == [("fault", "requests need a key, and none is valid")]
    assert found(host=EVERYWHERE, admin_key="a" * 32)[0][0] == "ok"
    assert found(host=EVERYWHERE, access="open")[0][0] == "warning"
    _, key = create_key(shop.warehouse, NewKey(name="shop", scopes=("metrics",)), utc_now())
    assert found() == [("ok", "requests need a key; 1 valid key")]
    revoke_key(shop.warehouse, key, utc_now())
    assert found() == [("warning", "requests need a key, and none is valid")]


def test_keys_that_want_attention(shop: Service, found: Callable[..., list[tuple[str, str]]]) -> None:
    now = utc_now()
    for new, created in (
        (NewKey(name="soon", scopes=("metrics",), expires=timedelta(days=7)), now),
        (NewKey(name="later", scopes=("metrics",), expires=timedelta(days=70)), now),
        (NewKey(name="page", scopes=("pipes:read",), browser=True, origins=("*",)), now),
        (NewKey(name="old admin", scopes=("admin",)), now - timedelta(days=91)),
        (NewKey(name="new admin", scopes=("admin",)), now),
    ):
        create_key(shop.warehouse, new, created)
    warnings = [message.partition(" (")[2] for state, message in found() if state == "warning"]
    expires = f"{now + timedelta(days=7):%Y-%m-%d}"
    assert sorted(warnings) == [
        "old admin) may do everything, and has not been used ever",
        "page) is a browser key that works on every site",
        f"soon) expires on {expires}",
    ]
