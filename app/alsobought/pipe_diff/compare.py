"""Build the report from pairs of responses."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from alsobought.pipe_diff.execute import Cost, Pair, Response, unknown_parameters
from alsobought.pipe_diff.off_policy import OffPolicy
from alsobought.pipe_diff.overlap import jaccard, mean, quantile, rank_biased_overlap
from alsobought.pipe_diff.pseudonyms import Pseudonyms, identifies_user
from alsobought.pipe_diff.report import (
    Columns,
    Example,
    Failures,
    Item,
    RankedItem,
    Report,
    SideReport,
    Similarity,
    Spread,
    ratio,
)
from alsobought.pipe_diff.sides import Side
from alsobought.pipe_diff.thresholds import Thresholds, missed_thresholds

MAX_EXAMPLES = 5

Overlap = tuple[float, float]  # rank-biased, Jaccard
Order = Callable[[Pair], tuple[Response, Response]]  # this side's response, then the other's


def build_report(
    name: str,
    old: Side,
    new: Side,
    pairs: Sequence[Pair],
    clock: datetime,
    thresholds: Thresholds,
    estimated: OffPolicy,
    with_users: bool = False,
) -> Report:
    """The report of at least one pair. `with_users`: without pseudonyms."""
    pseudonyms = Pseudonyms(with_users)
    compared = [pair for pair in pairs if pair.compared]
    report = Report(
        pipe=name,
        old=_side_report(old, pairs, compared, pseudonyms, _old_first),
        new=_side_report(new, pairs, compared, pseudonyms, _new_first),
        clock=clock,
        requests=len(pairs),
        asked=sum(pair.request.times for pair in pairs),
        compared=len(compared),
        unsteady=sum(not pair.steady for pair in pairs),
        columns=_columns(old, new),
        lists=_similarity(compared) if compared else None,
        rows_read=_spread(compared, lambda cost: cost.rows_read),
        bytes_read=_spread(compared, lambda cost: cost.bytes_read),
        seconds=_spread(compared, lambda cost: cost.seconds),
        only_old=_exclusive_items(compared, old, pseudonyms, _old_first),
        only_new=_exclusive_items(compared, new, pseudonyms, _new_first),
        examples=_examples(compared, old, new, pseudonyms),
        off_policy=estimated,
    )
    return msgspec.structs.replace(report, missed=list(missed_thresholds(report, thresholds)))


def overlaps(pair: Pair) -> dict[str, Overlap]:
    """The overlap of each list of an answer. A list that one side lacks is empty there."""
    keys = dict.fromkeys([*pair.old.lists, *pair.new.lists]) or {"": None}
    by_key = {}
    for key in keys:
        old, new = pair.old.lists.get(key, ()), pair.new.lists.get(key, ())
        by_key[key] = (rank_biased_overlap(old, new), jaccard(old, new))
    return by_key


def _old_first(pair: Pair) -> tuple[Response, Response]:
    return pair.old, pair.new


def _new_first(pair: Pair) -> tuple[Response, Response]:
    return pair.new, pair.old


def _side_report(
    side: Side, pairs: Sequence[Pair], compared: Sequence[Pair], pseudonyms: Pseudonyms, order: Order
) -> SideReport:
    errors = [(pair, *order(pair)) for pair in pairs if order(pair)[0].error]
    errors.sort(key=lambda error: bool(error[2].error))  # those that only this side has come first
    first = pseudonyms.error(errors[0][0].request, errors[0][1].error) if errors else ""
    total = sum(pair.request.times for pair in compared)
    empty = sum(pair.request.times for pair in compared if not order(pair)[0].rows)
    fallback = sum(pair.request.times for pair in compared if order(pair)[0].fallback)
    items = {item for pair in compared for items in order(pair)[0].lists.values() for item in items}
    return SideReport(
        label=side.label,
        version=side.pipe.version if side.pipe else "",
        failed=Failures(len(errors), sum(not other.error for _, _, other in errors), first),
        unknown=unknown_parameters(pairs, side),
        fallback_fault=side.fallback_fault,
        empty=empty / total if total else 0.0,
        fallback=fallback / total if total else 0.0,
        items=len(items),
    )


def _columns(old: Side, new: Side) -> Columns:
    if not old.pipe or not new.pipe:
        return Columns({}, {}, {})
    before, after = dict(old.pipe.columns), dict(new.pipe.columns)
    return Columns(
        added={name: column_type for name, column_type in after.items() if name not in before},
        removed={name: column_type for name, column_type in before.items() if name not in after},
        retyped={
            name: (column_type, after[name])
            for name, column_type in before.items()
            if name in after and after[name] != column_type
        },
    )


def _similarity(compared: Sequence[Pair]) -> Similarity:
    weights = [pair.request.times for pair in compared]
    counts: Counter[str] = Counter()
    for pair in compared:
        counts[_change(pair)] += pair.request.times
    shares = {change: counts[change] / sum(weights) for change in ("same", "values", "order", "items")}
    rank_biased, jaccards = zip(*(_mean_overlap(overlaps(pair)) for pair in compared), strict=True)
    return Similarity(**shares, jaccard=mean(jaccards, weights), rank_biased=mean(rank_biased, weights))


def _mean_overlap(by_key: Mapping[str, Overlap]) -> Overlap:
    rank_biased, jaccards = zip(*by_key.values(), strict=True)
    return sum(rank_biased) / len(by_key), sum(jaccards) / len(by_key)


def _change(pair: Pair) -> str:
    if pair.old.lists == pair.new.lists:
        return "same" if _equal_rows(pair.old.rows, pair.new.rows) else "values"
    return "order" if all(overlap == 1 for _, overlap in overlaps(pair).values()) else "items"


def _equal_rows(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> bool:
    """Compares the columns that both have."""
    return len(old) == len(new) and all(
        _equal_values(value, after[name])
        for before, after in zip(old, new, strict=True)
        for name, value in before.items()
        if name in after
    )


def _equal_values(old: Any, new: Any) -> bool:
    if isinstance(old, float) and isinstance(new, (int, float)):
        return math.isclose(old, new, rel_tol=1e-6, abs_tol=1e-9)  # sums of floats depend on how parts have merged
    return bool(old == new)


def _spread(compared: Sequence[Pair], measure: Callable[[Cost], float]) -> Spread | None:
    if not compared:
        return None
    weights = [pair.request.times for pair in compared]
    old = [measure(pair.old.cost) for pair in compared]
    new = [measure(pair.new.cost) for pair in compared]
    median, p95 = (ratio(quantile(old, weights, share), quantile(new, weights, share)) for share in (0.5, 0.95))
    return Spread(median, p95)


def _exclusive_items(compared: Sequence[Pair], side: Side, pseudonyms: Pseudonyms, order: Order) -> list[Item]:
    """The items that this side returns and the other never does, the most frequent first."""
    times: Counter[str] = Counter()
    titles: dict[str, str] = {}
    others: set[str] = set()
    for pair in compared:
        response, other = order(pair)
        others.update(item for items in other.lists.values() for item in items)
        items = (item for items in response.lists.values() for item in items)
        times.update(dict.fromkeys(items, pair.request.times))
        titles.update(response.titles)
    exclusive = sorted((item for item in times if item not in others), key=lambda item: (-times[item], item))
    return [Item(pseudonyms.value(side.item_column, item), titles.get(item, ""), times[item]) for item in exclusive]


def _examples(compared: Sequence[Pair], old: Side, new: Side, pseudonyms: Pseudonyms) -> list[Example]:
    """The requests whose lists changed most; of equal ones, the most frequent."""
    changed: list[tuple[float, int, int, Pair]] = []
    for pair in compared:
        if pair.old.lists != pair.new.lists:
            rank_biased, _ = _mean_overlap(overlaps(pair))
            changed.append((rank_biased, -pair.request.times, len(changed), pair))
    return [_example(pair, old, new, pseudonyms) for *_, pair in sorted(changed)[:MAX_EXAMPLES]]


def _example(pair: Pair, old: Side, new: Side, pseudonyms: Pseudonyms) -> Example:
    by_key = overlaps(pair)
    rank_biased, jaccard_mean = _mean_overlap(by_key)
    key = min(by_key, key=lambda key: by_key[key])
    before, after = pair.old.lists.get(key, ()), pair.new.lists.get(key, ())
    titles = {**pair.old.titles, **pair.new.titles}
    key_column = next(filter(identifies_user, (old.key, new.key)), new.key)
    old_ranks = {item: rank for rank, item in enumerate(before)}
    moves = {item: _move(old_ranks.get(item), rank) for rank, item in enumerate(after)}

    def ranked(side: Side, item: str, moved: str) -> RankedItem:
        return RankedItem(pseudonyms.value(side.item_column, item), titles.get(item, ""), moved)

    return Example(
        parameters=pseudonyms.parameters(pair.request),
        times=pair.request.times,
        rank_biased=rank_biased,
        jaccard=jaccard_mean,
        key=pseudonyms.value(key_column, key) if len(by_key) > 1 else "",
        old=[ranked(old, item, "" if item in moves else "gone") for item in before],
        new=[ranked(new, item, moves[item]) for item in after],
    )


def _move(old_rank: int | None, new_rank: int) -> str:
    if old_rank is None:
        return "new"
    return f"{old_rank - new_rank:+d}" if old_rank != new_rank else ""
