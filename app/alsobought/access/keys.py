"""The keys of a service in the table `access_keys`: create, list, revoke, rotate.

Each change is a row of its own (`sql/schema/access_keys.sql`), so that a command beside `serve` and several processes can
write without reading first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

import msgspec

from alsobought.access.addresses import split_url
from alsobought.access.credentials import KeyKind, hash_of, new_key
from alsobought.access.limits import Rate, read_rate
from alsobought.access.scopes import ANY_ORIGIN, checked_scopes
from alsobought.errors import Unusable
from alsobought.storage.sql_text import time_text
from alsobought.storage.warehouse import KEYS_TABLE, Warehouse

NEVER = datetime(2200, 1, 1, tzinfo=UTC)
NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
MAX_NAME = 100
DEFAULT_BROWSER_SCOPES = ("pipes:read", "events:write")


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    key_id: str
    hash: str
    kind: KeyKind
    name: str
    scopes: str
    origins: str
    rate: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    revoked_at: datetime

    def __repr__(self) -> str:
        return f"Key({self.key_id}, {self.name!r})"

    @property
    def scope_set(self) -> frozenset[str]:
        return frozenset(self.scopes.split())

    @property
    def origin_list(self) -> tuple[str, ...]:
        return tuple(self.origins.split())

    @property
    def limit(self) -> Rate | None:
        return read_rate(self.rate)

    @property
    def revoked(self) -> bool:
        return self.revoked_at > NO_TIME

    def state(self, now: datetime) -> str:
        if self.revoked:
            return "revoked"
        return "expired" if self.expires_at <= now else "valid"


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a key is to be: `checked` validates it."""

    name: str
    scopes: tuple[str, ...] = ()
    browser: bool = False
    origins: tuple[str, ...] = ()
    expires: timedelta | None = None
    rate: str = ""

    def checked(self, pipes: Iterable[str] = ()) -> NewKey:
        """With defaults filled in. `pipes` are those that exist. Raises Unusable."""
        if not 0 < len(self.name) <= MAX_NAME or not self.name.isprintable():
            raise Unusable(
                f"the name of a key has 1 to {MAX_NAME} printable characters", "Name it for its user: shop-backend"
            )
        scopes = self.scopes or (DEFAULT_BROWSER_SCOPES if self.browser else ())
        checked_scopes(scopes, browser=self.browser, pipes=set(pipes))
        if self.browser and not self.origins:
            raise Unusable(
                "a browser key without an origin would work on every site",
                f"Add --origin https://shop.example, or --origin '{ANY_ORIGIN}' for any",
            )
        if self.origins and not self.browser:
            raise Unusable(
                "only browser keys have origins: a server sends none", "Add --browser, or leave out --origin"
            )
        if self.expires is not None and self.expires <= timedelta():
            raise Unusable("the key would be expired at once", "Write a later time: --expires 90d")
        read_rate(self.rate)
        return msgspec.structs.replace(
            self, scopes=tuple(sorted(scopes)), origins=tuple(map(checked_origin, self.origins))
        )


def checked_origin(text: str) -> str:
    """An origin as browsers send it. Raises Unusable.

    >>> checked_origin("https://Shop.example/")
    'https://shop.example'
    """
    if text == ANY_ORIGIN:
        return text
    parts = split_url(text)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.path.strip("/")
        or parts.query
        or parts.username
    ):
        raise Unusable(
            f"{text[:60]!r} is not an origin", "Write https://shop.example, with a port if it has one, without a path"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


def make_key(new: NewKey, now: datetime) -> tuple[str, Key]:
    """(the text of the key, which nobody can read again, and the key). Pure: it is valid once it is stored."""
    kind: KeyKind = "browser" if new.browser else "secret"
    text, key_id = new_key(kind)
    key = Key(
        key_id=key_id,
        hash=hash_of(text),
        kind=kind,
        name=new.name,
        scopes=" ".join(new.scopes),
        origins=" ".join(new.origins),
        rate=new.rate,
        created_at=now,
        used_at=NO_TIME,
        expires_at=now + new.expires if new.expires else NEVER,
        revoked_at=NO_TIME,
    )
    return text, key


def store_key(warehouse: Warehouse, key: Key) -> None:
    _insert(warehouse, [msgspec.structs.asdict(key)])


def create_key(warehouse: Warehouse, new: NewKey, now: datetime) -> tuple[str, Key]:
    """(the text of the key, which nobody can read again, and the key), which is valid from now on."""
    text, key = make_key(new, now)
    store_key(warehouse, key)
    return text, key


def any_keys(warehouse: Warehouse) -> bool:
    """True if there is a key, or ever was. A quarter of the cost of `all_keys`, in a service without keys: it reads no row."""
    return bool(warehouse.trusted_rows(f"select count() from {warehouse.database}.{KEYS_TABLE}").data[0][0])


def all_keys(warehouse: Warehouse) -> list[Key]:
    """Every key that ever was, the oldest first."""
    sql = (
        "select key_id, max(hash) as hash, max(kind) as kind, max(name) as name, max(scopes) as scopes, max(origins) as origins,"
        " max(rate) as rate, max(created_at) as created_at, max(used_at) as used_at, min(expires_at) as expires_at,"
        f" max(revoked_at) as revoked_at from {warehouse.database}.{KEYS_TABLE} group by key_id having kind != ''"
        " order by created_at, key_id"
    )
    return [_key(row) for row in warehouse.trusted_rows(sql).dicts()]


def _key(row: Mapping[str, object]) -> Key:
    times = {name: _time(value) for name, value in row.items() if name.endswith("_at")}
    return msgspec.convert({**row, **times}, Key)


def _time(value: object) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def find_key(warehouse: Warehouse, key_id: str) -> Key:
    """The key of this id, or of this name if no other valid one has it. Raises Unusable."""
    keys = all_keys(warehouse)
    matching = [key for key in keys if key.key_id == key_id] or [
        key for key in keys if key.name == key_id and not key.revoked
    ]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise Unusable(
            f"{len(matching)} keys are called {key_id!r}", f"Name its id: {' or '.join(key.key_id for key in matching)}"
        )
    near = get_close_matches(key_id, [name for key in keys for name in (key.key_id, key.name)], n=1)
    hint = f"Did you mean {near[0]}?" if near else "`alsobought key ls` lists the keys"
    raise Unusable(f"there is no key {key_id[:60]!r}", hint)


def revoke_key(warehouse: Warehouse, key: Key, now: datetime) -> None:
    """Idempotent: the latest revocation counts."""
    _insert(warehouse, [{"key_id": key.key_id, "revoked_at": now}])


def rotate_key(warehouse: Warehouse, key: Key, overlap: timedelta, now: datetime) -> tuple[str, Key]:
    """A new key with the rights of this one, which expires after the overlap. Raises Unusable for one that is not valid."""
    if (state := key.state(now)) != "valid":
        raise Unusable(f"the key {key.key_id} is {state}", "Create a new one with `alsobought key create`")
    lifetime = key.expires_at - key.created_at if key.expires_at < NEVER else None
    new = NewKey(
        name=key.name,
        scopes=tuple(key.scopes.split()),
        browser=key.kind == "browser",
        origins=key.origin_list,
        expires=lifetime,
        rate=key.rate,
    )
    created = create_key(warehouse, new, now)
    _insert(warehouse, [{"key_id": key.key_id, "expires_at": now + overlap}])
    return created


def note_uses(warehouse: Warehouse, used: Mapping[str, datetime]) -> None:
    """Remember when keys were last used: {id: time}."""
    if used:
        _insert(warehouse, [{"key_id": key_id, "used_at": at} for key_id, at in used.items()])


def _insert(warehouse: Warehouse, rows: Iterable[Mapping[str, object]]) -> None:
    lines = [{name: _text(value) for name, value in row.items()} for row in rows]
    warehouse.insert(KEYS_TABLE, b"\n".join(map(msgspec.json.encode, lines)) + b"\n")


def _text(value: object) -> object:
    """A time as ClickHouse reads it."""
    return time_text(value) if isinstance(value, datetime) else value
