"""Several lists of one page: no item, nor a variant of it, twice. Earlier lists win, and short ones are refilled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from alsobought.pipes.fallbacks import item_column
from alsobought.pipes.variants import Variants
from alsobought.serving.answer import Answer

Ask = Callable[[int | None], Answer]
"""The answer with so many rows, or with as many as the request asks for."""


@dataclass
class SurfacePage:
    """What a page shows so far: `shown` are products, each an item or the group of its variants."""

    variants: Variants
    shown: set[Any] = field(default_factory=set)

    def already_shows(self, items: Sequence[Any]) -> None:
        """Items that the page shows anyway, such as its product."""
        groups = self.variants.groups(items)
        self.shown.update(groups.get(item, item) for item in items)

    def add(self, limit: int | None, maximum: int, ask: Ask) -> Answer:
        """The next list, which from now on is on the page: as `unseen`."""
        answer = self.unseen(limit, maximum, ask)
        self.shows(answer)
        return answer

    def unseen(self, limit: int | None, maximum: int, ask: Ask) -> Answer:
        """As many rows as asked for, `limit`, of which none is on the page yet.

        If too few remain, it is asked once more, for as many rows as were on the page, too. It has no next page.
        """
        answer = ask(None)
        fresh_rows = self._rows_not_shown(answer, limit)
        dropped = len(answer.data) - len(fresh_rows)
        if limit and dropped and limit < maximum:
            answer = ask(min(maximum, limit + max(dropped, len(self.shown))))
            fresh_rows = self._rows_not_shown(answer, limit)
        return replace(answer, data=fresh_rows, next=None, key=None, _computed={})

    def shows(self, answer: Answer) -> None:
        """The items of this answer are on the page."""
        self.already_shows(_items(answer, answer.data))

    def _rows_not_shown(self, answer: Answer, limit: int | None) -> list[list[Any]]:
        """Those whose product is not shown yet, at most `limit` in each list of the answer."""
        items = _items(answer, answer.data)
        if not items:
            return answer.data
        groups = self.variants.groups(items)
        key = answer.pipe.header.key
        names = [column.name for column in answer.meta]
        keys = [row[names.index(key)] for row in answer.data] if key in names else [None] * len(items)
        taken, seen, fresh_rows = Counter[Any](), set(self.shown), []
        for row, item, list_key in zip(answer.data, items, keys, strict=True):
            product = groups.get(item, item)
            if product not in seen and (limit is None or taken[list_key] < limit):
                seen.add(product)
                taken[list_key] += 1
                fresh_rows.append(row)
        return fresh_rows


def _items(answer: Answer, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """The items of these rows; none if the answer is no list of items."""
    names = [column.name for column in answer.meta]
    column = item_column([name for name in names if name != answer.pipe.header.key])
    return [row[names.index(column)] for row in rows] if column else []
