"""Users: the attributes that a shop sends about one, decoded and validated. Pure.

A post changes the attributes it names and no others; `writer.user_rows` applies it to what is stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from alsobought.events import NO_PLACEHOLDERS, Id, Rejected, check_rows, moment_problem
from alsobought.json_values import Conversion, converted, strict_first, to_id, to_time
from alsobought.placeholders import Placeholders, Texts

MAX_ATTRIBUTES = 50  # of a user, and words of a list
MAX_BYTES = 256  # of a word
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{0,14}[1-9])?")
"""A text that is a number: 34 and -1.5, but not 007 or 1.50, whose spelling would be lost."""
FILE = "sql/user_attributes.csv"
EXPECTED = "an attribute is a word, a number, true or false, or a list of words"


class User(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What a shop sends about one user. An attribute that is not named stays as it is stored; null clears it.

    An attribute is a word, a number, true or false, or a list of words. `timestamp` is since when the shop has known this, by
    default now: what is older than the erasure of the user is dropped. `replace` clears the attributes that are not named;
    `removed` deletes all of them.
    """

    user_id: Id
    attributes: dict[str, Any] | UnsetType | None = UNSET
    timestamp: datetime | UnsetType = UNSET
    replace: bool = False
    removed: bool = False


def read_users(
    objects: Iterable[Any],
    max_bytes: int,
    now: datetime,
    decode: Callable[[Any], Any] | None = None,
    placeholders: Placeholders = NO_PLACEHOLDERS,
) -> tuple[list[User], list[Rejected]]:
    """The valid users and the rejected objects."""
    return check_rows(
        objects, decode or decode_user, max_bytes, "attributes", lambda user: problem_of(user, now, placeholders)
    )


def user_of(fields: dict[str, Any]) -> User:
    """The user of decoded JSON. Raises msgspec.ValidationError.

    >>> user_of({"user_id": 17, "attributes": {"plan": "pro"}}).user_id
    '17'
    """
    return msgspec.convert(converted(fields, _CONVERSIONS), User)


_CONVERSIONS: dict[str, Conversion] = {"user_id": to_id, "timestamp": to_time}

decode_user = strict_first(msgspec.json.Decoder(User).decode, user_of)


def problem_of(user: User, now: datetime, placeholders: Placeholders) -> str:
    """The problem of a decoded user, or an empty string."""
    if "\0" in user.user_id:
        return "user_id: holds a NUL character"
    if problem := placeholders.user_problem("user_id", user.user_id):
        return f"{problem}; send the attributes once the user is known"
    if isinstance(user.timestamp, datetime) and (problem := moment_problem(user.timestamp, now)):
        return problem
    attributes = user.attributes or {}
    if len(attributes) > MAX_ATTRIBUTES:
        return f"attributes: {len(attributes):,}; a user has at most {MAX_ATTRIBUTES}"
    return next((problem for name, value in attributes.items() if (problem := attribute_problem(name, value))), "")


def attribute_problem(name: str, value: Any) -> str:
    """The problem of an attribute, or an empty string.

    >>> attribute_problem("age", 34), attribute_problem("home address", "…")
    ('', "attributes: 'home address' is not a name: letters of a-z, digits, _ and -, at most 64, not beginning with a digit")
    """
    if not NAME.fullmatch(name):
        rule = "letters of a-z, digits, _ and -, at most 64, not beginning with a digit"
        return f"attributes: {name[:40]!r} is not a name: {rule}"
    words = value if isinstance(value, list) else [value]
    if len(words) > MAX_ATTRIBUTES:
        return f"attributes.{name}: {len(words):,} words; at most {MAX_ATTRIBUTES} are accepted"
    for word in words:
        if isinstance(word, (dict, list)) or (word is None and words is value):
            kind = "an object" if isinstance(word, dict) else "a list" if isinstance(word, list) else "null"
            return f"attributes.{name}: {kind}{' in a list' if words is value else ''}; {EXPECTED}"
        if isinstance(word, float) and not math.isfinite(word):
            return f"attributes.{name}: {word} is not a number"
        if isinstance(word, str) and (len(word.encode(errors="replace")) > MAX_BYTES or "\0" in word):
            problem = "holds a NUL character" if "\0" in word else f"longer than {MAX_BYTES} bytes"
            return f"attributes.{name}: {problem}"
    return ""


def words_of(value: Any) -> list[str]:
    """The words of an attribute as they are stored; an attribute without any is cleared.

    >>> words_of("pro"), words_of(34.0), words_of([True, " a ", "a", ""]), words_of(None)
    (['pro'], ['34'], ['true', 'a'], [])
    """
    words = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(word for one in words if (word := _word(one))))


def _word(value: Any) -> str:
    if value is None or isinstance(value, str):
        return (value or "").strip()
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def value_of(words: Sequence[str], *, is_list: bool) -> Any:
    """The value of an attribute from its stored words: a number is one again.

    >>> [value_of([word], is_list=False) for word in ("34", "-1.5", "007", "true")], value_of(["a"], is_list=True)
    ([34, -1.5, '007', True], ['a'])
    """
    if is_list:
        return list(words)
    word = words[0]
    if word in ("true", "false"):
        return word == "true"
    if NUMBER.fullmatch(word):
        return float(word) if "." in word else int(word)
    return word


def listed_attributes(traits: Mapping[str, Any], listed: Texts) -> dict[str, Any]:
    """Those of the traits that are in the list and can be attributes. The others are not stored.

    >>> listed_attributes({"plan": "pro", "email": "a@example.com", "age": {"years": 3}}, Texts(["plan", "age"]))
    {'plan': 'pro'}
    """
    taken = [name for name, value in traits.items() if name in listed and not attribute_problem(name, value)]
    return {name: traits[name] for name in taken[:MAX_ATTRIBUTES]}
