"""Record requests to pipes in the table `requests`: parameters, status, and the items shown.

A request only appends a record to a queue (`serving.row_log`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from alsobought.pipes.fallbacks import item_column
from alsobought.recommendation_ids import Placement
from alsobought.serving.answer import Answer
from alsobought.serving.row_log import RowLog, TaskRunner

MAX_PARAMETERS = 65_536  # bytes; longer JSON is left out, since a truncated text cannot be replayed


class RequestRecord(msgspec.Struct, frozen=True):
    """A request and its outcome. `answer` is None if it failed; `parameters` is JSON.

    `unit` is whom the variant was drawn for. Nobody saw the answer if `shadow_of` names the request that was answered instead.
    """

    time: datetime
    request_id: str
    placement: Placement
    parameters: bytes
    status: int
    error: str
    seconds: float
    answer: Answer | None
    recommendation_id: str = ""
    unit: str = ""
    shadow_of: str = ""


class ShownList(msgspec.Struct):
    """The columns of the table `requests` that say what was shown, to whom, and what made it."""

    time: datetime
    request_id: str
    recommendation_id: str
    pipe: str
    version: str
    surface: str
    experiment: str
    variant: str
    unit: str
    shadow_of: str
    fallback: str
    item_ids: list[str]
    propensities: list[float]
    scores: list[float]
    sources: list[str]
    status: int
    error: str


class RequestRow(ShownList):
    """A row of the table `requests`."""

    parameters: str
    rows: int
    seconds: float
    rows_read: int
    bytes_read: int
    cached: bool = msgspec.field(name="kept")


class RequestLog(RowLog[RequestRecord]):
    """One per running service."""

    def __init__(self, writer: TaskRunner) -> None:
        super().__init__(writer, "requests", "requests", to_row)


def encode_parameters(raw: Mapping[str, Sequence[Any]]) -> bytes:
    """The parameters of a request as JSON that decodes to the same values.

    Empty if the JSON is too long or the values cannot be encoded.

    >>> encode_parameters({"item_id": ["tea", "mug"], "limit": [3]})
    b'{"item_id":["tea","mug"],"limit":[3]}'
    """
    try:
        text = _JSON.encode(raw)
    except (ValueError, OverflowError, RecursionError):  # half a surrogate pair, deep nesting
        return b""
    return text if len(text) <= MAX_PARAMETERS else b""


def to_row(record: RequestRecord) -> RequestRow:
    answer, placement = record.answer, record.placement
    statistics = answer.statistics if answer and not answer.cached else None
    item_ids, propensities, scores, sources = (
        answer.once("shown", lambda: _shown(answer)) if answer else ([], [], [], [])
    )
    return RequestRow(
        time=record.time,
        request_id=record.request_id,
        recommendation_id=record.recommendation_id,
        pipe=placement.pipe,
        version=placement.version,
        surface=placement.surface,
        experiment=placement.experiment,
        variant=placement.variant,
        unit=record.unit,
        shadow_of=record.shadow_of,
        fallback=(answer.fallback or "") if answer else "",
        parameters=record.parameters.decode(),
        item_ids=item_ids,
        propensities=propensities,
        scores=scores,
        sources=sources,
        rows=len(answer.data) if answer else 0,
        status=record.status,
        error=record.error,
        seconds=record.seconds,
        rows_read=statistics.rows_read if statistics else 0,
        bytes_read=statistics.bytes_read if statistics else 0,
        cached=bool(answer and answer.cached),
    )


def shown_items(answer: Answer) -> list[str]:
    """The ids of the items an answer shows, in order."""
    names = [column.name for column in answer.meta]
    column = item_column(names)
    if not column:
        return []
    index = names.index(column)
    return [str(row[index]) for row in answer.data if row[index] is not None]


def _shown(answer: Answer) -> tuple[list[str], list[float], list[float], list[str]]:
    """Item ids, propensities, scores and sources. The sources of an interleaved list are pipes with their teams, and its
    propensities are not those of these positions."""
    return (
        shown_items(answer),
        [] if answer.drafted_by else _numbers(answer, "propensity"),
        _numbers(answer, "score"),
        [*answer.drafted_by] or [str(value) for value in _column(answer, "source")],
    )


def _numbers(answer: Answer, name: str) -> list[float]:
    """A column of numbers; empty if one of them is none."""
    values = _column(answer, name)
    return values if all(isinstance(value, int | float) for value in values) else []


def _column(answer: Answer, name: str) -> list[Any]:
    """The values of a column, empty if the answer has none of this name."""
    index = next((n for n, column in enumerate(answer.meta) if column.name == name), -1)
    return [row[index] for row in answer.data] if index >= 0 else []


_JSON = msgspec.json.Encoder()
