"""Conditions on a row: `Status=paid|completed` and `Status!=refunded`, as --where has them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alsobought.errors import Unusable
from alsobought.loading.cells import is_empty, to_id
from alsobought.loading.nested import look_up


@dataclass(frozen=True)
class Condition:
    """`COLUMN=a|b` keeps rows with one of the values, `COLUMN!=a|b` the others. A missing cell is ''."""

    column: str
    values: frozenset[str]
    negated: bool

    def holds(self, row: Mapping[str, Any]) -> bool:
        return (plain_text(look_up(row, self.column)) in self.values) != self.negated


def condition_of(text: str) -> Condition:
    """Raises Unusable if it is none.

    >>> condition_of("Financial Status!=refunded").column
    'Financial Status'
    """
    column, equals, values = text.partition("=")
    if not equals or column in ("", "!"):
        raise Unusable(f"--where: {text!r} is not of the form COLUMN=VALUE or COLUMN!=VALUE", "Such as 'Status=paid'")
    negated = column.endswith("!")
    return Condition(
        column.removesuffix("!") if negated else column, frozenset(map(plain_text, values.split("|"))), negated
    )


def plain_text(value: Any) -> str:
    """A value as it is compared, without case: 17, 17.0 and ' 17 ' are equal; no value is ''."""
    return "" if is_empty(value) else str(to_id(value.strip() if isinstance(value, str) else value)).casefold()
