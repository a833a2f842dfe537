"""Events: decoding from JSON, and validation field by field. Pure: no clock, no network.

A body is split into objects first, so that one invalid object never affects the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from alsobought.bots import USER_AGENT, Bots
from alsobought.errors import BadRequest, TooLarge
from alsobought.json_values import (
    Conversion,
    category_path,
    converted,
    strict_first,
    to_id,
    to_price,
    to_time,
    to_whole_number,
)
from alsobought.placeholders import Placeholders, Texts

STANDARD_TYPES = (
    "impression",
    "click",
    "view",
    "add_to_cart",
    "remove_from_cart",
    "purchase",
    "like",
    "dislike",
    "refund",
)
REFUND, REFUNDED_PURCHASE = "refund", "refunded_purchase"  # what is sent, and what it makes of a purchase
STORED_TYPES = (*STANDARD_TYPES, REFUNDED_PURCHASE)
FIRST_TIME = datetime(1971, 1, 1, tzinfo=UTC)
MAX_AHEAD = timedelta(days=1)  # of the clock
REQUIRED = ("event_type",)
IDS = ("event_id", "user_id", "session_id", "item_id", "category", "order_id", "recommendation_id")
NUL = "\0"
FORM = re.compile(rb"[A-Za-z_][\w.%\[\]-]*=[^&{]*(&[A-Za-z_][\w.%\[\]-]*=[^&{]*)*")
NO_PLACEHOLDERS, NO_TEXTS = Placeholders(), Texts()

ID_LENGTH = 256
Id = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH)]
OptionalId = Annotated[str, Meta(max_length=ID_LENGTH)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Position = Annotated[int, Meta(ge=0, le=65_535)]
Money = Annotated[float, Meta(ge=0, le=1e12)]


class Event(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """One action of a user on an item. Times are UTC; a guest has a session_id and no user_id.

    A refund takes back a purchase, or so many pieces of it (`quantity`); without an item_id, a whole order. `recommendation_id`
    is that of the answer which showed the item, `position` its place in the list, from 1.
    """

    event_type: Id
    item_id: OptionalId = ""
    event_id: OptionalId = ""
    user_id: OptionalId = ""
    session_id: OptionalId = ""
    category: OptionalId = ""
    order_id: OptionalId = ""
    order_size: Count = 0
    quantity: Count | UnsetType = UNSET
    price: Money = 0.0
    timestamp: datetime | UnsetType = UNSET
    properties: dict[str, Any] | UnsetType = UNSET
    recommendation_id: OptionalId = ""
    position: Position = 0


@dataclass(frozen=True)
class Rejected:
    """A rejected object: its index in the request (from 0), and its problem."""

    index: int
    problem: str


@dataclass(frozen=True)
class Rules:
    """Rules for events beyond their fields and types. `now` is the clock, of which timestamps may be at most a day ahead.

    `bots` are those whose events are dropped, None if nobody's are; `sender` is the one that sent the request, if one did.
    `attributes` are those that are taken from what other formats send about users. With `own_user`, only that user's events are
    accepted.
    """

    now: datetime
    event_types: frozenset[str] = frozenset(STANDARD_TYPES)
    max_bytes: int = 65_536
    placeholders: Placeholders = NO_PLACEHOLDERS
    bots: Bots | None = None
    sender: str = ""
    attributes: Texts = NO_TEXTS
    own_user: str = ""

    def bot(self, user_agent: str) -> str:
        """The bot whose message has this user agent, or that of the request if it has none; empty for anybody else."""
        if self.bots is None:
            return ""
        return self.bots.name_of(user_agent) if user_agent else self.sender


MAX_OBJECTS = 50_000  # of a body: what one batch of the writer takes
MAX_ELEMENTS = 500_000  # an array with more commas is not decoded before its elements are counted


def split_objects(body: bytes) -> Iterator[bytes]:
    """The objects of a body, as bytes: one object, an array, or one object per line (NDJSON).

    >>> list(split_objects(b'[{"a": 1}, {"b": 2}]'))
    [b'{"a": 1}', b'{"b": 2}']

    Raises BadRequest if an array is not JSON, TooLarge for more than MAX_OBJECTS. A single object may be spread over several
    lines.
    """
    text = body.strip()
    if text.startswith(b"["):
        objects: Iterable[bytes] = map(bytes, _elements(text))
    elif text.startswith(b"{") and b"\n" in text and _is_object(text):
        objects = (text,)
    else:
        objects = (line for match in re.finditer(rb"[^\n]+", text) if (line := match[0]).strip())
    for number, one in enumerate(objects):
        if number == MAX_OBJECTS:
            raise TooLarge(f"the body has more than {MAX_OBJECTS:,} objects", "Send it in parts")
        yield one


def _elements(text: bytes) -> Iterable[msgspec.Raw]:
    """The elements of an array, of which a body of commas would have millions. Raises BadRequest, TooLarge."""
    if text.count(b",") > MAX_ELEMENTS:
        _refuse_many_elements(text)
    try:
        return msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}", "Send one object, an array, or one per line") from error


def _refuse_many_elements(text: bytes) -> None:
    """Raises TooLarge for an array of more than MAX_OBJECTS elements. Takes time, not memory."""
    string, depth, elements = False, 0, 1
    for match in re.finditer(rb'\\.|"|[\[{]|[\]}]|,', text, re.DOTALL):
        token = match[0]
        if token == b'"':
            string = not string
        elif string or token.startswith(b"\\"):
            continue
        elif token in b"[{":
            depth += 1
        elif token in b"]}":
            depth -= 1
        elif depth == 1:
            elements += 1
            if elements > MAX_OBJECTS:
                raise TooLarge(f"the body has more than {MAX_OBJECTS:,} objects", "Send it in parts")


def _is_object(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def event_of(fields: Mapping[str, Any]) -> Event:
    """The event of decoded JSON; null and empty text mean that a field is not given. Raises msgspec.ValidationError.

    >>> event = event_of({"event_type": "view", "user_id": None, "session_id": 17, "item_id": 4.0, "price": "19.90"})
    >>> event.user_id, event.session_id, event.item_id, event.price
    ('', '17', '4', 19.9)
    """
    known = {name: value for name, value in fields.items() if value is not None and (value != "" or name in REQUIRED)}
    return msgspec.convert(with_pieces(converted(known, _CONVERSIONS)), Event)


def with_pieces(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fields with a quantity that counts pieces. How it was sent stays in the properties.

    A negative quantity of a purchase is a refund. A fraction is a weight: one piece, at the price of that weight.

    >>> with_pieces({"event_type": "purchase", "quantity": -2})
    {'event_type': 'refund', 'quantity': 2, 'properties': {'quantity': -2}}
    """
    quantity, own = fields.get("quantity"), fields.get("properties") or {}
    if isinstance(quantity, bool) or not isinstance(quantity, (int, float)) or not isinstance(own, dict):
        return fields
    is_refund, is_weight = quantity < 0 and fields.get("event_type") == "purchase", quantity != int(quantity)
    if not (is_refund or (is_weight and quantity > 0)):
        return fields
    pieces: dict[str, Any] = {
        "quantity": 1 if is_weight else abs(quantity),
        "properties": {"quantity": quantity, **own},
    }
    if is_refund:
        pieces["event_type"] = REFUND
    price = fields.get("price") or 0.0
    if is_weight and isinstance(price, (int, float)):
        pieces["price"] = round(price * abs(quantity), 4)
    return {**fields, **pieces}


def is_negative(event: Event) -> bool:
    """True for a refund that was sent as a purchase with a negative quantity."""
    properties = event.properties if event.event_type == REFUND and isinstance(event.properties, dict) else {}
    quantity = properties.get("quantity")
    return isinstance(quantity, (int, float)) and quantity < 0


_CONVERSIONS: dict[str, Conversion] = {
    **dict.fromkeys(IDS, to_id),
    "price": to_price,
    "quantity": to_whole_number,
    "order_size": to_whole_number,
    "position": to_whole_number,
    "timestamp": to_time,
}


decode_event = strict_first(msgspec.json.Decoder(Event).decode, event_of)


def read_events(
    objects: Iterable[Any], rules: Rules, decode: Callable[[Any], Any] | None = None
) -> tuple[list[Event], list[Rejected]]:
    """The valid events and the rejected objects. `decode` replaces the decoder of our JSON, for other formats."""
    valid: list[Event] = []
    rejected: list[Rejected] = []
    decode = decode or decode_event
    for index, raw in enumerate(objects):
        event = read_object(raw, decode, rules.max_bytes, "properties")
        if problem := event if type(event) is str else event_problem(event, rules):
            rejected.append(Rejected(index, problem))
        else:
            valid.append(event)
    return valid, rejected


def read_object(raw: Any, decode: Callable[[Any], Any], max_bytes: int, own: str) -> Any:
    """The decoded object, or its problem as a string. `own` is the field for custom fields."""
    if type(raw) is bytes and len(raw) > max_bytes:
        return f"{len(raw):,} bytes; at most {max_bytes:,} are accepted"
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        return readable_problem(str(error), own)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return not_json(raw, error)
    except ValueError as error:  # already readable: raised by a `decode` of the caller
        return str(error)


def not_json(raw: Any, error: Exception) -> str:
    """The problem of a body that is no JSON. Browsers and curl send a form where nobody chose a type.

    >>> not_json(b"event_type=view&user_id=ada", ValueError("invalid character"))
    'a form, not JSON; send an object such as {"event_type": "view", …}'
    """
    if isinstance(raw, bytes) and FORM.fullmatch(raw.strip()):
        return 'a form, not JSON; send an object such as {"event_type": "view", …}'
    return f"not JSON: {error}"


def check_rows(
    objects: Iterable[Any],
    decode: Callable[[Any], Any],
    max_bytes: int,
    own: str,
    problem_of: Callable[[Any], str],
) -> tuple[list[Any], list[Rejected]]:
    """The valid rows among objects of one kind, and the rejected ones. `problem_of` is empty for a valid row."""
    valid: list[Any] = []
    rejected: list[Rejected] = []
    for index, raw in enumerate(objects):
        row = read_object(raw, decode, max_bytes, own)
        if problem := row if isinstance(row, str) else problem_of(row):
            rejected.append(Rejected(index, problem))
        else:
            valid.append(row)
    return valid, rejected


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


def bot_of(event: Event, rules: Rules) -> str:
    """The bot that did an event, or an empty string. Takes the user agent out of the properties: it is not stored."""
    if rules.bots is None:
        return ""
    own, agent = event.properties, ""
    if isinstance(own, dict) and USER_AGENT in own:
        agent = own.pop(USER_AGENT)
        event.properties = own or UNSET
    return rules.bot(agent if isinstance(agent, str) else "")


def in_utc(time: datetime) -> datetime:
    """A time without a zone is taken as UTC."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def event_problem(event: Event, rules: Rules) -> str:
    """The problem of a decoded event, or an empty string. Clears ids that are placeholders."""
    if event.event_type not in rules.event_types:
        return f"event_type: {event.event_type!r} is not one of {', '.join(sorted(rules.event_types))}"
    if rules.own_user:
        event.user_id = event.user_id or rules.own_user
        if event.user_id != rules.own_user:
            return "user_id: not that of the token, which is for the events of one user"
    if not event.user_id and not event.session_id:
        return "user_id: missing; a guest needs a session_id instead"
    if problem := rules.placeholders.clear(event):
        return problem
    if isinstance(event.timestamp, datetime) and (problem := moment_problem(event.timestamp, rules.now)):
        return problem
    if event.category:
        event.category = category_path(event.category)
    return _problem_of_ids(event)


def moment_problem(timestamp: datetime, now: datetime) -> str:
    """The problem of the time at which something happened, or an empty string."""
    at = timestamp if timestamp.tzinfo else in_utc(timestamp)
    if at < FIRST_TIME:
        return f"timestamp: {at:%Y-%m-%d} is before 1971"
    if at > now and at > now + MAX_AHEAD:
        return f"timestamp: {at:%Y-%m-%dT%H:%M:%SZ} is more than a day ahead of {now:%Y-%m-%dT%H:%M:%SZ}"
    return ""


def _problem_of_ids(event: Event) -> str:
    if not event.item_id and not (event.event_type == REFUND and event.order_id):
        return "item_id: missing" + ("; a refund without one needs an order_id" if event.event_type == REFUND else "")
    ids = f"{event.event_id}{event.user_id}{event.session_id}{event.item_id}{event.category}{event.order_id}"
    ids += event.recommendation_id
    return f"{next(name for name in IDS if NUL in getattr(event, name))}: holds a NUL character" if NUL in ids else ""
