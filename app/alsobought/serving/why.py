"""Why a user saw a list: the recorded request, the shop's rules, what followed, and the same request asked again.

It is asked again with the clock of then, over the counts of now: events that came since are in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from alsobought.errors import AlsoboughtError
from alsobought.pipes.fallbacks import item_column
from alsobought.pipes.library import Library
from alsobought.pipes.shop_rules import NAME as RULES
from alsobought.pipes.shop_rules import ShopRule, rules_in_force
from alsobought.recommendation_ids import RecommendationIds
from alsobought.serving.answer import Answer
from alsobought.serving.answers import answer_page, rows_of, with_fallbacks
from alsobought.serving.paging import requested_page
from alsobought.serving.recorded_list import LaterEvent, RecordedList, later_events, recorded_lists
from alsobought.serving.request_log import shown_items
from alsobought.settings import Settings
from alsobought.storage.sql_text import list_parameter, select_list, time_text
from alsobought.storage.warehouse import Warehouse
from alsobought.surfaces.draw import Layout


@dataclass(frozen=True)
class Shown:
    """An item of the list. `rules` are lines of rules.csv, `again` is its position now, None if it is not in the list any more.

    `later` is by event type: the first time, and whether that event had the recommendation id (`linked`). `team` is the variant
    that picked the item for an interleaved list.
    """

    position: int
    item_id: str
    title: str
    score: float | None
    source: str
    propensity: float | None
    rules: list[int]
    later: Mapping[str, Mapping[str, Any]]
    again: int | None = None
    team: str = ""


@dataclass(frozen=True)
class ShownAgain:
    """An item of the list as it is now. `was` is its position then, None if it was not in the list."""

    position: int
    item_id: str
    title: str
    score: float | None
    source: str
    reason: str
    was: int | None


@dataclass(frozen=True)
class Again:
    """The same request now. `problem` is why it cannot be asked; `events_since` were stored after the answer."""

    version: str
    same_version: bool
    events_since: int
    differs: bool = False
    problem: str = ""
    items: list[ShownAgain] = field(default_factory=list)


@dataclass(frozen=True)
class OtherList:
    """Another list of the same request."""

    recommendation_id: str
    surface: str
    pipe: str
    shadow: bool


@dataclass(frozen=True)
class Why:
    """`rules` hold for the pipe on the day of the request by the file of now; `rules_changed`: it was saved since, and the version
    of the pipe, of which the file is part, is another. `holdout`: nothing was shown on purpose."""

    request: RecordedList
    items: list[Shown]
    rules: list[ShopRule]
    rules_changed: bool
    again: Again
    holdout: bool
    others: list[OtherList]


@dataclass(frozen=True)
class Explainer:
    """Explains recorded requests of a shop."""

    warehouse: Warehouse
    library: Library
    ids: RecommendationIds
    settings: Settings
    layout: Layout

    def find(self, text: str, now: datetime) -> list[RecordedList]:
        """Raises BadRequest, NoSuchRequest."""
        return recorded_lists(self.warehouse, self.settings, self.ids, text, now)

    def why(self, rows: Sequence[RecordedList]) -> Why:
        """The explanation of the first of these lists, which are those of one request. Raises WarehouseFault."""
        row = rows[0]
        again, asked_again = self._again(row)
        now_at = {item.item_id: item.position for item in reversed(asked_again)}
        catalogue = self._catalogue([*row.item_ids, *now_at])
        rules = rules_in_force(self._sql_folder, row.pipe, row.time.astimezone(UTC).date())
        later: dict[str, list[LaterEvent]] = {}
        for event in later_events(self.warehouse, row, self.settings):
            later.setdefault(event.item_key, []).append(event)
        items = [
            Shown(
                position,
                item_id,
                catalogue[item_id].title,
                _nth(row.scores, position),
                _nth(row.pipes, position) or (row.fallback or row.pipe),
                _nth(row.propensities, position),
                [rule.line for rule in rules if rule.concerns(item_id, catalogue[item_id].category)],
                {
                    event.event_type: {"time": event.time, "linked": event.linked}
                    for event in later.get(catalogue[item_id].key, [])
                },
                now_at.get(item_id),
                _nth(row.teams, position) or "",
            )
            for position, item_id in enumerate(row.item_ids, start=1)
        ]
        concerned = {line for item in items for line in item.rules}
        return Why(
            row,
            items,
            [rule for rule in rules if rule.line in concerned or rule.action != "boost"],
            not again.same_version and _saved_since(self._sql_folder / RULES, row.time),
            again,
            self._is_holdout(row),
            [OtherList(one.recommendation_id, one.surface, one.pipe, bool(one.shadow_of)) for one in rows[1:]],
        )

    @property
    def _sql_folder(self) -> Path:
        return self.settings.home_folder / "sql"

    def _again(self, row: RecordedList) -> tuple[Again, list[ShownAgain]]:
        try:
            version = self.library[row.pipe].version
        except AlsoboughtError as error:
            return Again("", same_version=False, events_since=self._events_since(row.time), problem=str(error)), []
        same, since = version == row.version, self._events_since(row.time)
        if row.parameters is None:
            problem = "Its parameters were longer than 64 KiB, and so not recorded"
            return Again(version, same, since, problem=problem), []
        if self._is_holdout(row):
            return Again(version, same, since), []
        if any(row.teams):
            problem = "Two pipes filled the list in turns; ask each of them, with these parameters"
            return Again(version, same, since, problem=problem), []
        try:
            result = self._answer(row.pipe, row.parameters, row)
        except AlsoboughtError as error:
            return Again(version, same, since, problem=str(error)), []
        was = {item_id: position for position, item_id in reversed([*enumerate(row.item_ids, start=1)])}
        rows = [one for one in result.dicts() if one.get(_item_column(one)) is not None]
        items = [
            ShownAgain(
                position,
                item_id,
                str(one.get("title") or ""),
                one.get("score"),
                str(one.get("source") or row.pipe),
                str(one.get("reason") or ""),
                was.get(item_id),
            )
            for position, (item_id, one) in enumerate(zip(shown_items(result), rows, strict=False), start=1)
        ]
        differs = [item.item_id for item in items] != list(row.item_ids)
        return Again(version, same, since, differs, items=items), items

    def _answer(self, name: str, raw: Mapping[str, Sequence[Any]], row: RecordedList) -> Answer:
        surface = self.layout.surfaces.get(row.surface)
        more = surface.fallbacks if surface else ()
        page = requested_page(with_fallbacks(self.library.answering(name, raw), more), raw)
        return answer_page(self.library, page, partial(rows_of, self.warehouse, row.time), more=more)

    def _is_holdout(self, row: RecordedList) -> bool:
        experiment = self.layout.experiments.by_name.get(row.experiment)
        return any(one.holdout for one in experiment.variants if one.name == row.variant) if experiment else False

    def _events_since(self, time: datetime) -> int:
        sql = f"select count() from {self.warehouse.database}.events where ingested_at > toDateTime64({{time:String}}, 3, 'UTC')"
        return int(self.warehouse.trusted_rows(sql, {"time": time_text(time)}).data[0][0])

    def _catalogue(self, item_ids: Sequence[str]) -> Mapping[str, _Entry]:
        if not item_ids:
            return {}
        database = self.warehouse.local_database
        title, category = (
            f"dictGet('{database}.catalogue', '{name}', cityHash64(listed))" for name in ("title", "category")
        )
        sql = f"select listed, toString(cityHash64(listed)), {title}, {category} from ({select_list('items')})"
        rows = self.warehouse.trusted_rows(sql, {"items": list_parameter(dict.fromkeys(item_ids))}).data
        return {item_id: _Entry(*rest) for item_id, *rest in rows}


@dataclass(frozen=True)
class _Entry:
    key: str
    title: str
    category: str


def _item_column(row: Mapping[str, Any]) -> str:
    return item_column(list(row)) or ""


def _nth(values: Sequence[Any], position: int) -> Any:
    return values[position - 1] if len(values) >= position else None


def _saved_since(path: Path, time: datetime) -> bool:
    return path.exists() and datetime.fromtimestamp(path.stat().st_mtime, UTC) > time
