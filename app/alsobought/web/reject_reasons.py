"""Why a row was rejected, as one of a few words: for counting, never what the sender wrote."""

from __future__ import annotations

import re

from alsobought.events import Event
from alsobought.items import Item
from alsobought.users import User

FIELDS = frozenset((*Event.__struct_fields__, *Item.__struct_fields__, *User.__struct_fields__))
WORDS = {
    "not a field of this object": "unknown_field",
    "are accepted": "too_large",
    "not JSON": "not_json",
}


def reject_reason(problem: str) -> str:
    """The field at fault, or `unknown_field`, `too_large`, `not_json`, `other`.

    >>> [reject_reason(problem) for problem in ("item_id: missing", "usr: not a field of this object", "not JSON: x", "?")]
    ['item_id', 'unknown_field', 'not_json', 'other']
    """
    head = problem[:200]
    if reason := next((reason for text, reason in WORDS.items() if text in head), ""):
        return reason
    field = re.match(r"\w+(?=[.:\[])", head)
    return field[0] if field and field[0] in FIELDS else "other"
