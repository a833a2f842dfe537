"""Pairs of answers → the report of what changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from alsobought.pipe_diff.ask import Cost, Pair, Said, Side, unknown
from alsobought.pipe_diff.overlap import jaccard, mean, quantile, rank_biased_overlap
from alsobought.pipe_diff.people import People, names_a_person
from alsobought.pipe_diff.report import (
    Alike,
    Columns,
    Example,
    Failed,
    Item,
    Place,
    Report,
    Spread,
    Text,
    Thresholds,
    missed,
    ratio,
)

EXAMPLES = 5


def report(
    name: str, old: Side, new: Side, pairs: Sequence[Pair], clock: datetime, thresholds: Thresholds, named: bool = False
) -> Report:
    """What changed, over at least one pair. `named`: with the names of people."""
    people = People(named)
    compared = [pair for pair in pairs if pair.compared]
    made = Report(
        pipe=name,
        old=_text(old, pairs, compared, people, lambda pair: (pair.old, pair.new)),
        new=_text(new, pairs, compared, people, lambda pair: (pair.new, pair.old)),
        clock=clock,
        requests=len(pairs),
        asked=sum(pair.request.times for pair in pairs),
        compared=len(compared),
        unsteady=sum(not pair.steady for pair in pairs),
        columns=_columns(old, new),
        lists=_alike(compared) if compared else None,
        rows_read=_spread(compared, lambda cost: cost.rows_read),
        bytes_read=_spread(compared, lambda cost: cost.bytes_read),
        seconds=_spread(compared, lambda cost: cost.seconds),
        only_old=_only(compared, old, people, lambda pair: (pair.old, pair.new)),
        only_new=_only(compared, new, people, lambda pair: (pair.new, pair.old)),
        examples=_examples(compared, old, new, people),
    )
    return msgspec.structs.replace(made, missed=list(missed(made, thresholds)))


def overlaps(pair: Pair) -> dict[str, tuple[float, float]]:
    """Of each list of an answer: rank-biased overlap and Jaccard's. A list that one side lacks is empty there."""
    keys = dict.fromkeys([*pair.old.lists, *pair.new.lists]) or {"": None}
    found = {}
    for key in keys:
        one, other = pair.old.lists.get(key, ()), pair.new.lists.get(key, ())
        found[key] = (rank_biased_overlap(one, other), jaccard(one, other))
    return found


def _text(
    one: Side,
    pairs: Sequence[Pair],
    compared: Sequence[Pair],
    people: People,
    turned: Callable[[Pair], tuple[Said, Said]],
) -> Text:
    errors = [(pair, *turned(pair)) for pair in pairs if turned(pair)[0].error]
    errors.sort(key=lambda found: bool(found[2].error))  # those that are this text's own come first
    first = people.error(errors[0][0].request, errors[0][1].error) if errors else ""
    asked = sum(pair.request.times for pair in compared)
    empty = sum(pair.request.times for pair in compared if not turned(pair)[0].rows)
    fallback = sum(pair.request.times for pair in compared if turned(pair)[0].fallback)
    items = {item for pair in compared for items in turned(pair)[0].lists.values() for item in items}
    return Text(
        label=one.label,
        version=one.pipe.version if one.pipe else "",
        failed=Failed(len(errors), sum(not other.error for _, _, other in errors), first),
        unknown=unknown(pairs, one),
        fallback_fault=one.fallback_fault,
        empty=empty / asked if asked else 0.0,
        fallback=fallback / asked if asked else 0.0,
        items=len(items),
    )


def _columns(old: Side, new: Side) -> Columns:
    if not old.pipe or not new.pipe:
        return Columns({}, {}, {})
    was, now = dict(old.pipe.columns), dict(new.pipe.columns)
    return Columns(
        added={name: kind for name, kind in now.items() if name not in was},
        removed={name: kind for name, kind in was.items() if name not in now},
        retyped={name: (kind, now[name]) for name, kind in was.items() if name in now and now[name] != kind},
    )


def _alike(compared: Sequence[Pair]) -> Alike:
    weights = [pair.request.times for pair in compared]
    kinds: Counter[str] = Counter()
    for pair in compared:
        kinds[_kind(pair)] += pair.request.times
    shares = {kind: kinds[kind] / sum(weights) for kind in ("same", "values", "order", "items")}
    each = [list(overlaps(pair).values()) for pair in compared]
    ranked, common = ([sum(both[at] for both in lists) / len(lists) for lists in each] for at in (0, 1))
    return Alike(**shares, jaccard=mean(common, weights), rank_biased=mean(ranked, weights))


def _kind(pair: Pair) -> str:
    if pair.old.lists == pair.new.lists:
        return "same" if _same_rows(pair.old.rows, pair.new.rows) else "values"
    return "order" if all(common == 1 for _, common in overlaps(pair).values()) else "items"


def _same_rows(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> bool:
    """In the columns that both have."""
    return len(old) == len(new) and all(
        _same(value, now[name]) for was, now in zip(old, new, strict=True) for name, value in was.items() if name in now
    )


def _same(was: Any, now: Any) -> bool:
    if isinstance(was, float) and isinstance(now, (int, float)):
        return math.isclose(was, now, rel_tol=1e-6, abs_tol=1e-9)  # sums of floats depend on how parts have merged
    return bool(was == now)


def _spread(compared: Sequence[Pair], cost: Callable[[Cost], float]) -> Spread | None:
    if not compared:
        return None
    weights = [pair.request.times for pair in compared]
    old, new = ([cost(said.cost) for said in side] for side in zip(*((p.old, p.new) for p in compared), strict=True))
    median, p95 = (ratio(quantile(old, weights, share), quantile(new, weights, share)) for share in (0.5, 0.95))
    return Spread(median, p95)


def _only(
    compared: Sequence[Pair], one: Side, people: People, turned: Callable[[Pair], tuple[Said, Said]]
) -> list[Item]:
    """The items that this text shows and the other never does, the most shown first."""
    times: Counter[str] = Counter()
    titles: dict[str, str] = {}
    others: set[str] = set()
    for pair in compared:
        said, other = turned(pair)
        others.update(item for items in other.lists.values() for item in items)
        times.update(dict.fromkeys((item for items in said.lists.values() for item in items), pair.request.times))
        titles.update(said.titles)
    found = sorted((item for item in times if item not in others), key=lambda item: (-times[item], item))
    return [Item(people.shown(one.shown, item), titles.get(item, ""), times[item]) for item in found]


def _examples(compared: Sequence[Pair], old: Side, new: Side, people: People) -> list[Example]:
    """The requests whose lists changed most, of equals those that were asked most."""
    changed: list[tuple[float, int, int, Pair, dict[str, tuple[float, float]]]] = []
    for pair in compared:
        by_key = overlaps(pair)
        ranked = sum(both[0] for both in by_key.values()) / len(by_key)
        if pair.old.lists != pair.new.lists:
            changed.append((ranked, -pair.request.times, len(changed), pair, by_key))
    return [_example(pair, by_key, old, new, people) for *_, pair, by_key in sorted(changed)[:EXAMPLES]]


def _example(pair: Pair, by_key: Mapping[str, tuple[float, float]], old: Side, new: Side, people: People) -> Example:
    key = min(by_key, key=lambda one: by_key[one])
    was, now = pair.old.lists.get(key, ()), pair.new.lists.get(key, ())
    titles = {**pair.old.titles, **pair.new.titles}
    keyed_by = next(filter(names_a_person, (old.key, new.key)), new.key)
    places = {item: at for at, item in enumerate(was)}
    moved = {item: _moved(places.get(item), at) for at, item in enumerate(now)}
    return Example(
        parameters=people.parameters(pair.request),
        times=pair.request.times,
        rank_biased=sum(both[0] for both in by_key.values()) / len(by_key),
        jaccard=sum(both[1] for both in by_key.values()) / len(by_key),
        key=people.shown(keyed_by, key) if len(by_key) > 1 else "",
        old=[Place(people.shown(old.shown, one), titles.get(one, ""), "" if one in moved else "gone") for one in was],
        new=[Place(people.shown(new.shown, one), titles.get(one, ""), moved[one]) for one in now],
    )


def _moved(before: int | None, now: int) -> str:
    if before is None:
        return "new"
    return f"{before - now:+d}" if before != now else ""
