"""From a computation to the response with its rows, for pipes and surfaces: measured, recorded, encoded, cacheable."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import Response, g, request

from alsobought.errors import AlsoboughtError
from alsobought.recommendation_ids import Placement
from alsobought.serving.answer import Answer
from alsobought.serving.request_log import RequestRecord, encode_parameters
from alsobought.storage.parquet import to_parquet
from alsobought.surfaces.draw import Draw
from alsobought.web.access import principal
from alsobought.web.context import metrics, service, slow_requests
from alsobought.web.fast_lane import offer
from alsobought.web.formats import (
    FORMATS,
    caching_headers,
    entity_tag,
    file_headers,
    link_header,
    page_query,
    to_csv,
    to_json,
    to_ndjson,
)
from alsobought.web.lanes import WAITED


@dataclass(frozen=True)
class Answered:
    """An answer, where it is shown, and its id. `recorded` are the parameters of the pipe as the request log has them."""

    answer: Answer
    placement: Placement
    recommendation_id: str
    recorded: bytes
    draw: Draw | None = None


def compute_and_record(
    placement: Placement, raw: Mapping[str, Sequence[Any]], compute: Callable[[], Answer], draw: Draw | None = None
) -> Answered:
    """Compute the answer to these parameters of the placement's pipe.

    The request is counted in the metrics and recorded, whether it succeeds or fails. The placement gets the name and version of the
    pipe that answers.
    """
    running = service()
    now, started = running.clock(), time.perf_counter()
    result, status, code, recommendation_id, name = None, 500, "internal", "", placement.pipe
    try:
        result = compute()
        if (result.pipe.name, result.pipe.version) != (placement.pipe, placement.version):
            placement = replace(placement, pipe=result.pipe.name, version=result.pipe.version)
        recommendation_id = running.recommendations.mint(placement, now)
        status, code = 200, ""
    except AlsoboughtError as error:
        status, code = error.status, error.code
        raise
    finally:
        seconds = time.perf_counter() - started
        pipe_exists = status not in (404, 500)
        metrics().answered(name if pipe_exists else "", status, seconds)
        if status != 404:
            slow_requests().add(name, raw, result, status, seconds, request.environ.get(WAITED, 0.0))
        if "span" in g:
            cached, rows = bool(result and result.cached), len(result.data) if result else 0
            g.answered = {"pipe": name if pipe_exists else "", "cached": cached, "rows": rows}
        recorded = encode_parameters(raw)
        if running.request_log and status != 404:
            unit = draw.unit if draw else ""
            running.request_log.add(
                RequestRecord(
                    now, g.request_id, placement, recorded, status, code, seconds, result, recommendation_id, unit
                )
            )
    return Answered(result, placement, recommendation_id, recorded, draw)


def answer_response(
    answered: Answered, fmt: str, raw: dict[str, list[Any]], *, may_repeat: bool, cacheable: bool = True
) -> Response:
    """The response to a request with these parameters. `may_repeat`: the fast lane may give it while the answer is cached."""
    answer, query = answered.answer, page_query(with_key(raw))
    if may_repeat and request.method == "GET" and fmt == "json" and answer.key:
        offer(answer, answered.recorded, query, answered.placement, answered.draw)
    response = _response(answered, fmt, link_header(answer, query))
    if cacheable:
        response.headers["Cache-Status"] = f"alsobought; {'hit' if answer.cached else 'fwd=miss'}"
    return response


def with_key(raw: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The parameters for the link to the next page: with a browser key that came in the URL, without what a token fills in."""
    shown = {name: values for name, values in raw.items() if name not in principal().fixed}
    return shown | {"key": [g.credential]} if g.get("credential") and "key" in request.args else shown


def _response(answered: Answered, fmt: str, link: dict[str, str]) -> Response:
    """The answer, or 304 if the client has it; the recommendation_id is a header, too, for other formats than JSON."""
    answer, placement = answered.answer, answered.placement
    headers = file_headers(answer, fmt) | link
    if answered.recommendation_id:
        headers["Recommendation-Id"] = answered.recommendation_id
    if request.method == "POST":
        return Response(_encode(answered, fmt), mimetype=FORMATS[fmt], headers=headers)
    headers |= caching_headers(answer, fmt, placement)
    if "If-None-Match" in request.headers and request.if_none_match.contains_weak(entity_tag(answer, fmt, placement)):
        return Response(status=304, mimetype=FORMATS[fmt], headers=headers)
    return Response(_encode(answered, fmt), mimetype=FORMATS[fmt], headers=headers)


def _encode(answered: Answered, fmt: str) -> bytes:
    result = answered.answer
    if fmt == "ndjson":
        return to_ndjson(result.dicts())
    if fmt == "csv":
        return to_csv([column.name for column in result.meta], result.dicts())
    if fmt == "parquet":
        return to_parquet(service().warehouse, result.meta, result.data)
    return to_json(result, g.request_id, answered.recommendation_id, answered.placement)
