"""Pages of a list: what a request has to ask of the engine, and which rows of that are its page.

Nothing is kept between two pages. The cursor that a request brings has a hash of every row shown before; its page is the first
`limit` others of a list that is longer by what was shown (ADR 22). So no row comes again, wherever it stands by now, every process
can answer, and a pipe needs nothing for it but a `:limit`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from zlib import crc32

from alsobought.errors import BadParameters, Detail
from alsobought.pipes.fallbacks import ITEM_COLUMNS, item_column
from alsobought.pipes.parameters import CURSOR, values
from alsobought.pipes.pipe import Pipe
from alsobought.pipes.types import quote_value
from alsobought.pipes.variants import NoVariants, Variants
from alsobought.serving.answer import Answer
from alsobought.serving.cursor import MAX_ROWS, NOTHING, Shown, decode, encode, row_hash

NO_VARIANTS = NoVariants()
MAY_CHANGE = ("limit", "exclude")  # between two pages: shoppers fill their carts meanwhile


@dataclass(frozen=True)
class Page:
    """A request to a pipe: its values, and what earlier pages have shown. Without a cursor it is the first page."""

    pipe: Pipe
    bound: Mapping[str, Any]
    cursor: str = ""
    shown: Shown = NOTHING

    @cached_property
    def asked(self) -> Mapping[str, Any]:
        """The values to ask the engine for: a list that has the rows shown before, this page, and a row more if there is one.

        The maximum that the header sets to `limit` is for callers; here only its type counts.
        """
        if not self.cursor or not self.pipe.limit:
            return self.bound
        return {**self.bound, "limit": self.pipe.limit.within_type(self.shown.depth + self.bound["limit"] + 1)}

    def of(self, answer: Answer, variants: Variants = NO_VARIANTS) -> Answer:
        """This page of the answer to `asked`, with the cursor of the next one. `variants`: a shown item hides all of its group."""
        if not self.pipe.limit or "limit" not in self.bound:
            return answer
        if not self.cursor:
            return replace(answer, next=self._next_of_first(answer, variants))
        limit, left, taken = self.bound["limit"], Counter(self.shown.hashes), Counter[Any]()
        rows, hashes, is_last = [], [*self.shown.hashes], True
        for row, key, hashed in zip(answer.data, *_identities(answer, variants), strict=True):
            if left[hashed]:
                left[hashed] -= 1  # each hides one row, so that on a still list no other row of equal hash is lost
            elif taken[key] < limit:
                taken[key] += 1
                rows.append(row)
                hashes.append(hashed)
            else:
                is_last = False
        depth = self.shown.depth + max(taken.values(), default=0)
        following = "" if is_last else self._cursor(Shown(depth, hashes))
        return replace(answer, data=rows, next=following or None)

    def _next_of_first(self, answer: Answer, variants: Variants) -> str | None:
        """A full list may have more to come; the engine was not asked for a row more, so that the first page costs nothing."""
        if not max(1, self.bound["limit"]) <= len(answer.data) < MAX_ROWS:
            return None
        keys, hashes = _identities(answer, variants)
        depth = max(Counter(keys).values())
        return self._cursor(Shown(depth, hashes)) or None if depth >= self.bound["limit"] else None

    def _cursor(self, shown: Shown) -> str:
        return encode(_fingerprint(self.pipe, self.bound), shown) if len(shown.hashes) < MAX_ROWS else ""


def requested_page(pipe: Pipe, raw: Mapping[str, Sequence[Any]]) -> Page:
    """The page that unvalidated parameters ask for. An empty cursor is that of the first page. Raises BadParameters."""
    if CURSOR.name not in raw or not pipe.limit:
        return Page(pipe, values(pipe.parameters, raw))
    bound = values(pipe.parameters, {name: texts for name, texts in raw.items() if name != CURSOR.name})
    try:
        cursor = _single(raw[CURSOR.name])
        return Page(pipe, bound, cursor, _shown(pipe, bound, cursor)) if cursor else Page(pipe, bound)
    except ValueError as error:
        raise BadParameters(f"{CURSOR.name}: {error}", details=(Detail(CURSOR.name, str(error)),)) from error


def _single(texts: Sequence[Any]) -> str:
    if len(texts) > 1:
        raise ValueError(f"given {len(texts)} times; it takes one value")
    text = texts[0] if texts else ""
    if not isinstance(text, str):
        raise ValueError(f"{quote_value(text)} is not a cursor; send `next` of the answer before, as it is")
    return text


def _shown(pipe: Pipe, bound: Mapping[str, Any], cursor: str) -> Shown:
    """Raises ValueError that describes what would work."""
    if "limit" not in bound:
        raise ValueError("needs `limit`, the number of rows of a page")
    try:
        fingerprint, shown = decode(cursor)
    except ValueError:
        wrong = f"{quote_value(cursor)} is not a cursor; send `next` of the answer before, as it is"
        raise ValueError(wrong) from None
    if fingerprint != _fingerprint(pipe, bound):
        changeable = " and ".join(MAY_CHANGE)
        raise ValueError(
            "belongs to another pipe or other parameters; send it with those of the first page"
            f" (only {changeable} may change), or leave it out to begin anew"
        )
    return shown


def _fingerprint(pipe: Pipe, bound: Mapping[str, Any]) -> int:
    """That of the pipe and its parameters. Defaults do not count, so that a visit outlives a parameter that a pipe gets."""
    assumed = {parameter.name: parameter.assumed for parameter in pipe.parameters}
    given = [(name, bound[name]) for name in sorted(bound) if name not in MAY_CHANGE and bound[name] != assumed[name]]
    return crc32(repr((pipe.name, given)).encode())


def _identities(answer: Answer, variants: Variants) -> tuple[list[Any], list[int]]:
    """For each row the value of its key, which says to what list it belongs, and the hash of the row."""
    names, key = [column.name for column in answer.meta], answer.pipe.header.key
    column = _identity_column(names, key)
    shown = [row[names.index(column)] for row in answer.data]
    if column in ITEM_COLUMNS:
        groups = variants.groups(shown)
        shown = [groups.get(item, item) for item in shown]
    if not key:
        return [None] * len(shown), list(map(row_hash, shown))
    lists = [row[names.index(key)] for row in answer.data]
    return lists, list(map(row_hash, lists, shown))


def _identity_column(names: Sequence[str], key: str) -> str:
    """The column that tells the rows of a list apart: the item, else the user, else the first one.

    >>> _identity_column(["user_id", "item_id", "title"], "user_id"), _identity_column(["brand", "purchases"], "")
    ('item_id', 'brand')
    """
    others = [name for name in names if name != key]
    return item_column(others) or ("user_id" if "user_id" in others else others[0] if others else key)
