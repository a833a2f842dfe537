"""Versions of the ranker's weights: each that is put into service is stored, and one command returns to the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from alsobought.errors import Unusable
from alsobought.learning.context import Context
from alsobought.learning.protocol import LearningResult
from alsobought.storage.sql_text import time_text
from alsobought.storage.warehouse import every_node

ITEM_MODEL, USER_MODEL = "also_bought", "rank"
TABLE, VERSIONS = "ranker_weights", "ranker_versions"
COLUMNS = ("model", "feature", "place", "bucket", "above", "up_to", "weight", "pairs", "asked", "bought", "version")
Row = Mapping[str, Any]


class Version(msgspec.Struct, frozen=True):
    """`version` is a time in milliseconds since 1970, `previous` what it replaced; `source` is orders, clicks or online."""

    version: int
    previous: int
    learned_at: datetime
    source: str
    weights: int


def rows_in_service(context: Context) -> list[dict[str, Any]]:
    """The rows of ranker_weights, in the order of model, place and bucket."""
    return _dicts(context.rows("ranker_weights"))


def put_into_service(context: Context, rows: Iterable[Row], source: str) -> int:
    """Keeps the rows as a new version, and replaces ranker_weights by them. Returns their number.

    The version in service is stored too, if it is older than the table of versions.
    """
    current = rows_in_service(context)
    previous, stored = version_of(current), {one.version for one in versions(context)}
    if current and previous not in stored:
        _keep(context, current, previous, 0, "before")
    number = max(int(context.now.timestamp() * 1000), *(version + 1 for version in (previous, *stored)))
    numbered = [{**row, "version": number} for row in rows]
    _keep(context, numbered, number, previous, source)
    return _replace(context, numbered)


def roll_back(context: Context) -> LearningResult:
    """Returns to the version that the one in service replaced. Raises Unusable if there is none."""
    current = version_of(rows_in_service(context))
    previous = next((one.previous for one in versions(context) if one.version == current), None)
    rows = _dicts(context.rows("ranker_version", version=previous)) if previous is not None else []
    if not rows:
        raise Unusable(
            "there is no version before the weights in service",
            "`alsobought learn --history` lists the versions; they are kept for 90 days",
        )
    inserted = _replace(context, rows)
    newest = context.columns("newest_event")
    line = f"rolled back from the weights of {time_of(current)} to those of {time_of(previous or 0)}"
    return LearningResult(events=0, rows={TABLE: inserted}, line=line, until=int(newest["seq"][0]))


def versions(context: Context) -> list[Version]:
    """The newest first."""
    return [
        Version(version, previous, datetime.fromisoformat(at).replace(tzinfo=UTC), source, weights)
        for version, previous, at, source, weights in context.rows("ranker_versions")
    ]


def version_of(rows: Sequence[Row]) -> int:
    """0 for weights that are older than the versions, and without weights."""
    return int(rows[0]["version"]) if rows else 0


def time_of(version: int) -> str:
    """
    >>> time_of(1767268800000), time_of(0)
    ('2026-01-01 12:00:00.000', 'nothing')
    """
    if not version:
        return "nothing"
    return datetime.fromtimestamp(version / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _replace(context: Context, rows: Sequence[Row]) -> int:
    with context.replacement(TABLE) as table:
        return table.insert(rows)


def _keep(context: Context, rows: Sequence[Row], version: int, previous: int, source: str) -> None:
    stored = {"version": version, "previous": previous, "learned_at": time_text(context.now), "source": source}
    lines = msgspec.json.Encoder().encode_lines([{**row, **stored} for row in rows])
    for node in every_node(context.warehouse):
        node.insert(VERSIONS, lines)


def _dicts(rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]
