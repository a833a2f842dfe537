"""Events and items: decoding from JSON, and validation field by field. Pure: no clock, no network.

A body is split into objects first, so that one invalid object never affects the others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from alsobought.errors import BadRequest
from alsobought.placeholders import Placeholders

STANDARD_TYPES = (
    "impression",
    "click",
    "view",
    "add_to_cart",
    "remove_from_cart",
    "purchase",
    "like",
    "dislike",
)
FIRST_TIME = datetime(1971, 1, 1, tzinfo=UTC)
MAX_AHEAD = timedelta(days=1)  # of the clock
IDS = ("event_id", "user_id", "session_id", "item_id", "category", "order_id")
NUL = "\0"
NO_PLACEHOLDERS = Placeholders()

ID_LENGTH = 256
Id = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH)]
OptionalId = Annotated[str, Meta(max_length=ID_LENGTH)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Money = Annotated[float, Meta(ge=0, le=1e12)]
VECTOR_LENGTH = 4096
MIN_NORM = 1e-9  # of an embedding that has a direction
Vector = Annotated[list[Annotated[float, Meta(ge=-1e9, le=1e9)]], Meta(max_length=VECTOR_LENGTH)]


class Event(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """One action of a user on an item. Times are UTC; a guest has a session_id and no user_id."""

    event_type: Id
    item_id: Id
    event_id: OptionalId = ""
    user_id: OptionalId = ""
    session_id: OptionalId = ""
    category: OptionalId = ""
    order_id: OptionalId = ""
    order_size: Count = 0
    quantity: Count = 1
    price: Money = 0.0
    timestamp: datetime | UnsetType = UNSET
    properties: dict[str, Any] | UnsetType = UNSET


class Item(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One product of the catalogue. A later one with the same id replaces all its fields. `owner` is the user who offers it."""

    item_id: Id
    title: Annotated[str, Meta(max_length=2000)] = ""
    category: OptionalId = ""
    brand: OptionalId = ""
    price: Money = 0.0
    available: bool = True
    image: Annotated[str, Meta(max_length=2000)] = ""
    owner: OptionalId = ""
    attributes: dict[str, str] = {}
    embedding: Vector = []


@dataclass(frozen=True)
class Rejected:
    """A rejected object: its index in the request (from 0), and its problem."""

    index: int
    problem: str


@dataclass(frozen=True)
class Rules:
    """Rules for events beyond their fields and types. `now` is the clock, of which timestamps may be at most a day ahead."""

    now: datetime
    event_types: frozenset[str] = frozenset(STANDARD_TYPES)
    max_bytes: int = 65_536
    placeholders: Placeholders = NO_PLACEHOLDERS


def split_objects(body: bytes) -> Iterator[bytes]:
    """The objects of a body, as bytes: one object, an array, or one object per line (NDJSON).

    >>> list(split_objects(b'[{"a": 1}, {"b": 2}]'))
    [b'{"a": 1}', b'{"b": 2}']

    Raises BadRequest if an array is not JSON. A single object may be spread over several lines.
    """
    text = body.strip()
    if text.startswith(b"["):
        try:
            for raw in msgspec.json.decode(text, type=list[msgspec.Raw]):
                yield bytes(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"the body is not JSON: {error}", "Send one object, an array, or one per line") from error
    elif text.startswith(b"{") and b"\n" in text and _is_object(text):
        yield text
    else:
        yield from (line for line in text.split(b"\n") if line.strip())


def _is_object(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _decode_event(raw: bytes) -> Event:
    """Expects RFC 3339 timestamps, which is fast; tries other forms of ISO 8601 (a date, no seconds) if that fails."""
    try:
        return _decode_rfc3339(raw)
    except msgspec.ValidationError as error:
        if "`$.timestamp`" not in str(error):
            raise
    fields = msgspec.json.decode(raw)
    try:
        fields["timestamp"] = datetime.fromisoformat(fields["timestamp"])
    except (TypeError, ValueError):
        text = msgspec.json.encode(fields["timestamp"]).decode()
        shown = text if len(text) <= 60 else f"{text[:57]}…"
        raise msgspec.ValidationError(f"{shown} is not a time like 2026-01-31T12:00:00Z - at `$.timestamp`") from None
    return msgspec.convert(fields, Event)


_decode_rfc3339 = msgspec.json.Decoder(Event).decode
_decode_item = msgspec.json.Decoder(Item).decode


def read_events(
    objects: Iterable[Any], rules: Rules, decode: Callable[[Any], Any] | None = None
) -> tuple[list[Event], list[Rejected]]:
    """The valid events and the rejected objects. `decode` replaces the decoder of our JSON, for other formats."""
    valid: list[Event] = []
    rejected: list[Rejected] = []
    decode = decode or _decode_event
    for index, raw in enumerate(objects):
        event = _read(raw, decode, rules.max_bytes, "properties")
        if problem := event if type(event) is str else event_problem(event, rules):
            rejected.append(Rejected(index, problem))
        else:
            valid.append(event)
    return valid, rejected


def read_items(
    objects: Iterable[Any],
    max_bytes: int,
    decode: Callable[[Any], Any] | None = None,
    placeholders: Placeholders = NO_PLACEHOLDERS,
) -> tuple[list[Item], list[Rejected]]:
    """The valid items and the rejected objects. All embeddings of a request have one length."""
    valid: list[Item] = []
    rejected: list[Rejected] = []
    length = 0
    for index, raw in enumerate(objects):
        item = _read(raw, decode or _decode_item, max_bytes, "attributes")
        problem = item if isinstance(item, str) else _item_problem(item, length, placeholders)
        if problem:
            rejected.append(Rejected(index, problem))
        elif isinstance(item, Item):
            length = length or len(item.embedding)
            valid.append(item)
    return valid, rejected


def _item_problem(item: Item, length: int, placeholders: Placeholders) -> str:
    """The problem of a decoded item, or an empty string. `length` is that of the embeddings before it, 0 without any."""
    if "\0" in item.item_id:
        return "item_id: holds a NUL character"
    if problem := placeholders.item_problem(item.item_id):
        return problem
    if item.embedding and length and len(item.embedding) != length:
        return f"embedding: {len(item.embedding):,} numbers, and the items before it have {length:,}"
    if item.embedding and math.hypot(*item.embedding) < MIN_NORM:
        return "embedding: its numbers are all 0, so that it points nowhere; leave it out"
    return ""


def _read(raw: Any, decode: Callable[[Any], Any], max_bytes: int, own: str) -> Any:
    """The decoded object, or its problem as a string. `own` is the field for custom fields."""
    if type(raw) is bytes and len(raw) > max_bytes:
        return f"{len(raw):,} bytes; at most {max_bytes:,} are accepted"
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        return readable_problem(str(error), own)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"not JSON: {error}"
    except ValueError as error:  # already readable: raised by a `decode` of the caller
        return str(error)


def readable_problem(error: str, own: str = "properties") -> str:
    """The message of msgspec with the field first.

    >>> readable_problem('Expected `str`, got `int` - at `$.user_id`')
    'user_id: expected `str`, got `int`'
    >>> readable_problem('Object missing required field `item_id`')
    'item_id: missing'
    >>> readable_problem('Object contains unknown field `usr`')
    'usr: not a field of this object; put your own fields under properties'
    """
    if field := re.fullmatch(r"Object missing required field `(.+?)`.*", error):
        return f"{field[1]}: missing"
    if field := re.fullmatch(r"Object contains unknown field `(.+?)`.*", error):
        return f"{field[1]}: not a field of this object" + (f"; put your own fields under {own}" if own else "")
    problem, _, path = error.partition(" - at `$")
    name = path.rstrip("`").lstrip(".")
    problem = problem[:1].lower() + problem[1:]
    return f"{name}: {problem}" if name else problem


def in_utc(time: datetime) -> datetime:
    """A time without a zone is taken as UTC."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def event_problem(event: Event, rules: Rules) -> str:
    """The problem of a decoded event, or an empty string. Clears ids that are placeholders."""
    if event.event_type not in rules.event_types:
        return f"event_type: {event.event_type!r} is not one of {', '.join(sorted(rules.event_types))}"
    if not event.user_id and not event.session_id:
        return "user_id: missing; a guest needs a session_id instead"
    if problem := rules.placeholders.clear(event):
        return problem
    if isinstance(event.timestamp, datetime):
        at = event.timestamp if event.timestamp.tzinfo else in_utc(event.timestamp)
        if at < FIRST_TIME:
            return f"timestamp: {at:%Y-%m-%d} is before 1971"
        if at > rules.now and at > rules.now + MAX_AHEAD:
            return f"timestamp: {at:%Y-%m-%dT%H:%M:%SZ} is more than a day ahead of {rules.now:%Y-%m-%dT%H:%M:%SZ}"
    ids = f"{event.event_id}{event.user_id}{event.session_id}{event.item_id}{event.category}{event.order_id}"
    return f"{next(name for name in IDS if NUL in getattr(event, name))}: holds a NUL character" if NUL in ids else ""
