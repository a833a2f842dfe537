"""Read objects in any of the formats: recognize them by their shape, or read a body as the calls of a known one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec
from msgspec import UNSET

from alsobought.bots import USER_AGENT
from alsobought.errors import TooLarge
from alsobought.events import (
    ID_LENGTH,
    MAX_ELEMENTS,
    MAX_OBJECTS,
    Event,
    Rejected,
    Rules,
    bot_of,
    event_problem,
    not_json,
    read_events,
    readable_problem,
    split_objects,
)
from alsobought.formats import ga4, segment, snowplow
from alsobought.formats.calls import Dropped, Identified, Merge, Outcome, Skipped
from alsobought.json_values import text_at
from alsobought.users import User, listed_attributes, problem_of

MANY_CALLS = f"more than {MAX_OBJECTS:,} calls"


@dataclass(frozen=True)
class Format:
    """`recognizes` a body by its shape; `calls` splits it; `read` reads one call, and may raise ValidationError.

    `user_agent` is that of whoever caused a call, empty if it has none.
    """

    name: str
    recognizes: Callable[[Mapping[str, Any]], bool]
    calls: Callable[[Any], Iterable[Any]]
    read: Callable[[Any], Outcome]
    user_agent: Callable[[Any], str]


FORMATS = {
    module.NAME: Format(module.NAME, module.recognizes, module.calls, module.read, module.user_agent)
    for module in (segment, ga4, snowplow)
}


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """What one object is: events, merges of guests, attributes of users, calls that are none of ours, and what a bot did."""

    events: Sequence[Event] = ()
    merges: Sequence[Merge] = ()
    users: Sequence[User] = ()
    skipped: Sequence[Skipped] = ()
    dropped: Sequence[Dropped] = ()


@dataclass
class Reading:
    """What is in a body, by outcome. A merge has the index of its call in `calls`; objects that are no calls have none."""

    calls: list[Any] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    merges: list[tuple[int, Merge]] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def rejected_texts(self) -> dict[int, bytes]:
        """{index: the rejected call as a body of its own}"""
        calls = {rejected.index: self.calls[rejected.index] for rejected in self.rejected}
        return {
            index: call.text if isinstance(call, _NotJson) else msgspec.json.encode(call)
            for index, call in calls.items()
        }


def read_body(body: bytes, of: Format, rules: Rules) -> Reading:
    """The calls of a body, which is one object, an array, or one object per line. Calls do not affect each other.

    Raises BadRequest if an array is not JSON, TooLarge for too many calls.
    """
    calls = (call for raw in split_objects(body) for call in of.calls(_decode(raw)))
    reading = Reading(list(islice(calls, MAX_OBJECTS + 1)))
    _refuse_many(len(reading.calls))
    for index, call in enumerate(reading.calls):
        outcome, user = _read(of, call, rules)
        reading.users += [user] if user else []
        if isinstance(outcome, str):
            reading.rejected.append(Rejected(index, outcome))
        elif isinstance(outcome, Merge):
            reading.merges.append((index, outcome))
        elif isinstance(outcome, Skipped):
            reading.skipped += [] if user else [outcome]
        elif isinstance(outcome, Dropped):
            reading.dropped.append(outcome)
        else:
            reading.events += outcome
    return reading


def read_any(objects: Sequence[bytes], rules: Rules) -> Reading:
    """Events, and objects of any format that stand in their place: of each all events or, with a problem, none.

    Merges and attributes are skipped: whoever may post events may not merge or change users. Raises TooLarge for too many calls.
    """
    reading = Reading()
    for index, decoded in enumerate(read_objects(objects, rules)):
        if isinstance(decoded, str):
            reading.rejected.append(Rejected(index, decoded))
        else:
            reading.events += decoded.events
            reading.dropped += decoded.dropped
            reading.skipped += [*decoded.skipped, *(merge.call for merge in decoded.merges)]
            _refuse_many(len(reading.events) + len(reading.dropped) + len(reading.skipped))
    return reading


def _refuse_many(calls: int) -> None:
    if calls > MAX_OBJECTS:
        raise TooLarge(f"the body has {MANY_CALLS}", "Send it in parts")


def read_objects(objects: Sequence[bytes], rules: Rules, of: Format | None = None) -> Iterator[Decoded | str]:
    """What each object is, of one format or whatever its format, or its problem.

    Nearly all are events: those are decoded in one call, and only the others are examined.
    """
    if of:
        yield from (read_object(raw, rules, "", of) for raw in objects)
        return
    events, rejected = read_events(objects, rules)
    problems = {reject.index: reject.problem for reject in rejected}
    following = iter(events)
    for index, raw in enumerate(objects):
        yield read_object(raw, rules, problems[index]) if index in problems else _of_event(next(following), rules)


def _of_event(event: Event, rules: Rules) -> Decoded:
    bot = bot_of(event, rules)
    return Decoded(dropped=[Dropped(bot)]) if bot else Decoded([event])


def read_object(raw: bytes, rules: Rules, problem: str, of: Format | None = None) -> Decoded | str:
    """What an object is that is no event: all its calls, or a problem. `problem` is that of an object of no format.

    A bot's own events may be wrong in any way, since it keeps no cookies: they are dropped, too.
    """
    value = _decode(raw)
    of = of or format_of(value)
    if of is None:
        bot = rules.bot(text_at(value, "properties", USER_AGENT))
        return Decoded(dropped=[Dropped(bot)]) if bot else problem
    calls = list(islice(of.calls(value), MAX_OBJECTS + 1))
    if len(calls) > MAX_OBJECTS:
        return MANY_CALLS
    read = [_read(of, call, rules) for call in calls]
    outcomes = [outcome for outcome, _ in read]
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, str):
            return f"call {number}: {outcome}" if len(outcomes) > 1 else outcome
    return Decoded(
        [event for outcome in outcomes if isinstance(outcome, list) for event in outcome],
        [outcome for outcome in outcomes if isinstance(outcome, Merge)],
        [user for _, user in read if user],
        [outcome for outcome in outcomes if isinstance(outcome, Skipped)],
        [outcome for outcome in outcomes if isinstance(outcome, Dropped)],
    )


def format_of(value: Any) -> Format | None:
    """The format of a decoded object, by its shape."""
    if not isinstance(value, dict):
        return None
    return next((of for of in FORMATS.values() if of.recognizes(value)), None)


@dataclass(frozen=True)
class _NotJson:
    problem: str
    text: bytes


def _decode(raw: bytes) -> Any:
    """The value of a text. One of very many calls is not decoded, since that would take ten times its size."""
    if raw.count(b"{") > MAX_ELEMENTS:
        return _NotJson(MANY_CALLS, raw)
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _NotJson(not_json(raw, error), raw)


def _read(of: Format, call: Any, rules: Rules) -> tuple[Outcome, User | None]:
    """What becomes of a call, and the user whose attributes it has."""
    if isinstance(call, _NotJson):
        return call.problem, None
    if bot := rules.bot(of.user_agent(call)):
        return Dropped(bot), None
    try:
        outcome = of.read(call)
    except msgspec.ValidationError as error:
        return readable_problem(str(error), ""), None
    if isinstance(outcome, list):
        return next((problem for event in outcome if (problem := event_problem(event, rules))), outcome), None
    identified = outcome.identified if isinstance(outcome, Merge | Skipped) else None
    return outcome, _user(identified, rules) if identified else None


def _user(identified: Identified, rules: Rules) -> User | None:
    """The user with the listed attributes, if there are any. A placeholder is nobody."""
    attributes = listed_attributes(identified.traits, rules.attributes)
    timestamp = UNSET if identified.timestamp is None else identified.timestamp
    user = User(user_id=identified.user_id, attributes=attributes, timestamp=timestamp)
    is_user = attributes and len(user.user_id) <= ID_LENGTH
    return user if is_user and not problem_of(user, rules.now, rules.placeholders) else None
