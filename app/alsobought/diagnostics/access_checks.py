"""Checks of access: whether keys are needed and there, and keys that want attention."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from alsobought.access.keys import NO_TIME, Key, all_keys
from alsobought.access.scopes import ADMIN, ANY_ORIGIN
from alsobought.access.settings import admin_key
from alsobought.diagnostics.findings import Finding
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse
from alsobought.web.guard import only_this_machine

SOON, UNUSED = timedelta(days=14), timedelta(days=90)
CREATE = "Run `alsobought key create admin --scope admin`"


def check_access(warehouse: Warehouse, settings: Settings) -> Iterator[Finding]:
    """Who may reach the service, then each key that expires soon, works anywhere or is an unused admin."""
    now = datetime.now(UTC)
    keys = all_keys(warehouse)
    valid = [key for key in keys if key.state(now) == "valid"]
    yield _who(settings, valid, ever=bool(keys) or bool(admin_key(settings)))
    if not warehouse.embedded and not settings.token_secret:
        message = "answers have no recommendation_id: ALSOBOUGHT_TOKEN_SECRET is not set"
        yield Finding(
            "recommendation ids", "warning", message, "Make one with `openssl rand -hex 32`, the same for each process"
        )
    newest = {key.name: key.created_at for key in valid}
    for key in valid:
        if key.created_at == newest[key.name]:  # an older one of the same name is rotated
            yield from _of_key(key, now)


def _who(settings: Settings, valid: list[Key], *, ever: bool) -> Finding:
    reachable = not only_this_machine(settings)
    count = f"{len(valid)} valid key{'s' * (len(valid) != 1)}"
    if settings.access == "open":
        if not reachable:
            return Finding("access", "ok", "open: ALSOBOUGHT_ACCESS=open, and only this machine reaches the service")
        message = f"open to everybody who reaches {settings.host}: ALSOBOUGHT_ACCESS=open"
        return Finding("access", "warning", message, f"{CREATE}, then unset ALSOBOUGHT_ACCESS")
    needed = settings.access == "keys" or ever or reachable
    if not needed:
        return Finding("access", "ok", "open: only this machine reaches the service, and there is no key")
    if not valid and not admin_key(settings):
        return Finding("access", "fault" if reachable else "warning", "requests need a key, and none is valid", CREATE)
    return Finding("access", "ok", f"requests need a key; {count}{', and the admin key' * bool(admin_key(settings))}")


def _of_key(key: Key, now: datetime) -> Iterator[Finding]:
    name = f"the key {key.key_id} ({key.name})"
    if key.expires_at - now < SOON:
        yield Finding(
            "access", "warning", f"{name} expires on {key.expires_at:%Y-%m-%d}", f"`alsobought key rotate {key.key_id}`"
        )
    if key.kind == "browser" and (not key.origins or ANY_ORIGIN in key.origin_list):
        message = f"{name} is a browser key that works on every site"
        yield Finding("access", "warning", message, "Replace it by one with --origin")
    if ADMIN in key.scope_set and now - max(key.used_at, key.created_at) > UNUSED:
        last = f"since {key.used_at:%Y-%m-%d}" if key.used_at > NO_TIME else "ever"
        message = f"{name} may do everything, and has not been used {last}"
        yield Finding("access", "warning", message, f"`alsobought key revoke {key.key_id}`")
