"""One list from the answers of two pipes: a team draft of their own rows, then what fills it up.

What a fallback or the longer of the two lists adds at the end belongs to no team: nobody is judged by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alsobought.pipes.fallbacks import item_column
from alsobought.pipes.variants import Variants
from alsobought.serving.answer import Answer
from alsobought.serving.team_draft import team_draft

OF = "/"
"""Between the team and the pipe of a row, where it is recorded: `ranked/also_bought_ranked`. Neither has one in its name."""
Coins = Callable[[str], Iterator[int]]
"""Those of the list with this key."""


@dataclass(frozen=True)
class Side:
    """A team, which is a variant, and the answer that it would give alone."""

    team: str
    answer: Answer


@dataclass(frozen=True)
class _Row:
    """`key` is that of its list, None in an answer without keys; `source` is the pipe that gave it, its own if `is_own`."""

    item: Any
    key: Any
    source: str
    is_own: bool
    values: Mapping[str, Any]


def interleaved(
    sides: Sequence[Side], keys: Sequence[Any], limit: int | None, variants: Variants, coins: Coins
) -> Answer:
    """The list, with the columns of the first side: rows of the second have null in those that their pipe lacks.

    `keys` are those of the request, where the first pipe answers with a list for each; a pipe without keys drafts into each.
    An item and its variants are one. The answer cannot be cached, and has no next page.
    """
    first, second = (side.answer for side in sides)
    rows = [list(_rows(side.answer)) for side in sides]
    items = [row.item for side_rows in rows for row in side_rows]
    groups = variants.groups(items) if variants.exist and items else {}
    data, drafted_by = list[list[Any]](), list[str]()
    for key in _keys(first, rows, keys):
        lists = [[row for row in side_rows if key is None or row.key in (None, key)] for side_rows in rows]
        length = max(map(len, lists)) if limit is None else limit
        for row, team in _merged(lists, length, groups, coins("" if key is None else str(key))):
            data.append(_values(row, first, key))
            drafted_by.append(row.source if team is None else f"{sides[team].team}{OF}{row.source}")
    as_of = [answer.as_of for answer in (first, second) if answer.as_of]
    return replace(
        first,
        fallback=first.fallback if second.fallback else None,
        data=data,
        statistics=first.statistics + second.statistics,
        cached=first.cached and second.cached,
        as_of=min(as_of) if len(as_of) == len(sides) else None,
        pipes=tuple({pipe.name: pipe for pipe in (*first.pipes, *second.pipes)}.values()),
        key=None,
        next=None,
        drafted_by=tuple(drafted_by),
        _computed={},
    )


def alone(answer: Answer) -> Answer:
    """The answer of one side, where the other has failed. It belongs to no team."""
    return replace(answer, key=None, next=None, _computed={})


def _merged(
    lists: Sequence[Sequence[_Row]], limit: int, groups: Mapping[Any, int], coins: Iterator[int]
) -> Iterator[tuple[_Row, int | None]]:
    """The rows of one list, each with its team."""
    own = [[row for row in rows if row.is_own] for rows in lists]
    picks = team_draft([[groups.get(row.item, row.item) for row in rows] for rows in own], limit, coins)
    picked = [own[team][index] for team, index in picks]
    yield from zip(picked, (team for team, _ in picks), strict=True)
    taken, missing = {groups.get(row.item, row.item) for row in picked}, limit - len(picked)
    for row in (*own[0], *own[1], *(row for rows in lists for row in rows if not row.is_own)):
        product = groups.get(row.item, row.item)
        if missing and product not in taken:
            taken.add(product)
            missing -= 1
            yield row, None


def _keys(first: Answer, rows: Sequence[Sequence[_Row]], keys: Sequence[Any]) -> list[Any]:
    """The keys of the lists; None for the only list of a pipe without keys."""
    if not first.pipe.header.key:
        return [None]
    return [*dict.fromkeys((*map(str, keys), *(row.key for side in rows for row in side if row.key is not None)))]


def _rows(answer: Answer) -> Iterator[_Row]:
    """Those that have an item."""
    names, pipe = [column.name for column in answer.meta], answer.pipe
    key = pipe.header.key if pipe.header.key in names else ""
    item = item_column([name for name in names if name != key])
    for row in answer.data:
        values = dict(zip(names, row, strict=True))
        source = str(values["source"]) if pipe.adds_source else pipe.name
        if item and values[item] is not None:
            yield _Row(values[item], values[key] if key else None, source, source == pipe.name, values)


def _values(row: _Row, first: Answer, key: Any) -> list[Any]:
    """The row in the columns of this answer."""
    pipe, names = first.pipe, [column.name for column in first.meta]
    own = {item_column([name for name in names if name != pipe.header.key]): row.item}
    own |= {pipe.header.key: key} if pipe.header.key else {}
    own |= {"source": row.source} if pipe.adds_source else {}
    return [own[name] if name in own else row.values.get(name) for name in names]
