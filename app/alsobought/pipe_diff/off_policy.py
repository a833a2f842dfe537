"""The rates that either text would have had, estimated from the recorded lists of the pipe that explored.

Both texts answer the recorded requests again, without exploration, with today's data and clock. That data has the events that
followed the log, so a text that ranks by clicks may know the answer: the estimate of the old text, which is made in the same way,
shows how much. New minus old is on the same impressions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from alsobought.errors import AlsoboughtError
from alsobought.off_policy.estimators import NOTHING, Log
from alsobought.off_policy.evaluation import Estimate, Evaluation, difference, evaluate
from alsobought.pipe_diff.execute import Executor, Response
from alsobought.pipe_diff.requests import Request
from alsobought.pipe_diff.sides import Side
from alsobought.serving.answers import answer
from alsobought.serving.surface_requests import without_exploration
from alsobought.storage.warehouse import Reader

LOG_PIPE = "explored_impressions"
LOG_DAYS = 7
MAX_IMPRESSIONS = 200_000
METRICS = {"click_through_rate": "clicked", "purchase_rate": "purchased"}

Lists = Mapping[str, Sequence[str]]
"""The list of each request that was asked again, by its parameters."""


class OffPolicy(msgspec.Struct, frozen=True):
    """`reason` says why there is no estimate. `change` is DR of the new minus that of the old text, by metric.

    `unused` counts impressions of requests that were not asked again, failed, or had several lists.
    """

    days: int = LOG_DAYS
    reason: str = ""
    impressions: int = 0
    unused: int = 0
    old: Evaluation | None = None
    new: Evaluation | None = None
    change: dict[str, Estimate] = {}


@dataclass(frozen=True)
class _Logged:
    """Rows of the pipe of the log, newest first, and the request of each, without exploration."""

    rows: Sequence[Mapping[str, Any]]
    requests: Sequence[str]


def off_policy(
    old: Side, new: Side, executor: Executor, name: str, limit: int, clock: datetime, advance: Callable[[int], None]
) -> OffPolicy:
    """The estimate from the newest `limit` distinct requests of the last week. Raises WarehouseFault."""
    if not (old.pipe and new.pipe):
        return OffPolicy(reason="one of the texts is broken")
    try:
        logged = _read(new, executor.warehouse, name, clock)
    except AlsoboughtError as error:
        return OffPolicy(reason=f"the pipe {LOG_PIPE} cannot be asked: {error}")
    if not logged.rows:
        return OffPolicy(reason=_nothing_logged(name))
    lists_of_old, lists_of_new = dict[str, Sequence[str]](), dict[str, Sequence[str]]()
    for text in list(dict.fromkeys(logged.requests))[:limit]:
        request = Request(msgspec.json.decode(text))
        pair = executor.pair(request, old, new, old_first=len(lists_of_old) % 2 == 0)
        advance(1)
        before, after = _only_list(pair.old), _only_list(pair.new)
        if before is None or after is None:
            continue
        if _by_chance(pair.old) or _by_chance(pair.new):
            return OffPolicy(reason=f"{name} explores without a parameter `explore`: nobody knows its other choices")
        lists_of_old[text], lists_of_new[text] = before, after
    return _estimated(logged, lists_of_old, lists_of_new)


def _nothing_logged(name: str) -> str:
    return (
        f"no impression of a list of {name} that explored is recorded in the last {LOG_DAYS} days, and lists without chance"
        " cannot tell how others would do. Set `explore: 0.1` among the parameters of its surface, and send impressions with"
        " their recommendation_id"
    )


def _read(side: Side, warehouse: Reader, name: str, clock: datetime) -> _Logged:
    since = clock - timedelta(days=LOG_DAYS)
    raw = {"pipe": name, "since": since.isoformat(), "until": clock.isoformat(), "limit": MAX_IMPRESSIONS}
    rows = answer(side.library, warehouse, LOG_PIPE, {key: [value] for key, value in raw.items()}, clock).dicts()
    rows = [row for row in rows if row["parameters"]]
    texts = {text: _without_exploration(text) for text in {row["parameters"] for row in rows}}
    return _Logged(rows, [texts[row["parameters"]] for row in rows])


def _without_exploration(parameters: str) -> str:
    raw = without_exploration(msgspec.json.decode(parameters))
    return msgspec.json.encode(dict(sorted(raw.items()))).decode()


def _only_list(response: Response) -> Sequence[str] | None:
    """None for a failed request, or one for several lists."""
    if response.error or len(response.lists) > 1:
        return None
    return next(iter(response.lists.values()), ())


def _by_chance(response: Response) -> bool:
    return any((row.get("propensity") or 1) < 1 for row in response.rows)


def _estimated(logged: _Logged, lists_of_old: Lists, lists_of_new: Lists) -> OffPolicy:
    used = [number for number, text in enumerate(logged.requests) if text in lists_of_new]
    rows, texts = [logged.rows[number] for number in used], [logged.requests[number] for number in used]
    unused = len(logged.rows) - len(rows)
    if not rows:
        return OffPolicy(reason="no recorded request of a list that explored could be asked again", unused=unused)
    rewards = {metric: np.array([row[column] for row in rows], float) for metric, column in METRICS.items()}
    old, new = (_log(rows, texts, lists) for lists in (lists_of_old, lists_of_new))
    return OffPolicy(
        impressions=len(rows),
        unused=unused,
        old=evaluate(old, rewards),
        new=evaluate(new, rewards),
        change={metric: difference(old, new, earned) for metric, earned in rewards.items()},
    )


def _log(rows: Sequence[Mapping[str, Any]], texts: Sequence[str], lists: Lists) -> Log:
    numbers: dict[str, int] = {}

    def number(text: str) -> int:
        return numbers.setdefault(text, len(numbers))

    def new_item(text: str, position: int) -> int:
        items = lists[text]
        return number(items[position - 1]) if position <= len(items) else NOTHING

    return Log(
        users=np.array([number(row["user_hash"]) for row in rows]),
        draws=np.array([number(row["draw_hash"]) for row in rows]),
        positions=np.array([row["position"] for row in rows]),
        items=np.array([number(row["item_id"]) for row in rows]),
        propensities=np.array([row["propensity"] for row in rows], float),
        rewards=np.zeros(len(rows)),
        new_items=np.array([new_item(text, row["position"]) for text, row in zip(texts, rows, strict=True)]),
    )
