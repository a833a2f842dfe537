"""The answer of a surface: that of the pipe it draws, an interleaved one of two pipes, or nothing for a holdout."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus

from flask import g

from alsobought.errors import AlsoboughtError, Detail
from alsobought.pipes.parameters import CURSOR, bad_parameters
from alsobought.pipes.pipe import is_provided
from alsobought.serving.answer import Answer
from alsobought.serving.interleaving import Side, alone, interleaved
from alsobought.serving.surface_page import SurfacePage
from alsobought.serving.surface_requests import SurfaceRequest, parameters_of, without_exploration
from alsobought.serving.team_draft import coins_of
from alsobought.surfaces.draw import Draw
from alsobought.web.context import service

log = logging.getLogger(__name__)

OF_THE_LIST = ("limit", CURSOR.name)  # parameters that ask for more of a list, which begins as it is


def compute(asked: SurfaceRequest, *, fresh: bool) -> Answer:
    """Raises BadParameters, PipeBroken, Busy, TooSlow, WarehouseFault."""
    if asked.sides:
        return _interleaved(asked, lambda side: _compute(side, fresh=fresh))
    return _compute(asked, fresh=fresh)


def compute_on_page(page: SurfacePage, asked: SurfaceRequest, *, fresh: bool) -> Answer:
    """The same without what is on the page already, to which it is added. The teams draft from what remains of their lists."""
    if not asked.sides:
        answer = _unseen(page, asked, fresh=fresh)
    else:
        answer = _interleaved(asked, lambda side: _unseen(page, side, fresh=fresh))
    page.shows(answer)
    return answer


def _compute(asked: SurfaceRequest, *, fresh: bool, limit: int | None = None) -> Answer:
    answers, draw = service().answers, asked.draw
    raw = asked.raw if limit is None else {**asked.raw, "limit": [limit]}
    if draw.holdout:
        return answers.empty(draw.pipe, raw, draw.surface.fallbacks)
    answer = answers.answer(draw.pipe, raw, fresh=fresh, more=draw.surface.fallbacks)
    _ask_shadow(asked, answer)
    return answer


def _ask_shadow(asked: SurfaceRequest, shown: Answer) -> None:
    surface = asked.draw.surface
    if not surface.shadow or surface.shadow == asked.draw.pipe or shown.cached:
        return
    with suppress(AlsoboughtError):  # a shadow that is broken or deleted changes no answer
        raw = parameters_of(service().library[surface.shadow], Draw(surface), asked.requested)
        service().shadows.ask(surface.shadow, surface.name, without_exploration(raw), shown, g.request_id)


def _unseen(page: SurfacePage, asked: SurfaceRequest, *, fresh: bool) -> Answer:
    if asked.draw.holdout:
        return _compute(asked, fresh=fresh)
    own = service().library[asked.draw.pipe].limit
    if own is None:
        return page.unseen(None, 0, lambda _: _compute(asked, fresh=fresh))
    try:
        limit = _limit(asked)
    except ValueError:
        return _compute(asked, fresh=fresh)  # which reports it
    return page.unseen(limit, own.bounds()[1], lambda rows: _compute(asked, fresh=fresh, limit=rows))


def _limit(asked: SurfaceRequest) -> int | None:
    """The number of rows that a request asks for; None if its pipe takes none. Raises ValueError."""
    own = service().library[asked.draw.pipe].limit
    if own is None:
        return None
    limit: int = own.read(asked.raw["limit"][0]) if asked.raw.get("limit") else own.assumed
    return limit


# Interleaved lists


def _interleaved(asked: SurfaceRequest, compute_side: Callable[[SurfaceRequest], Answer]) -> Answer:
    """Where one side fails, the other's list alone."""
    if is_provided(asked.requested, CURSOR.name) and asked.requested[CURSOR.name] != [""]:
        raise bad_parameters([Detail(CURSOR.name, "an interleaved list has no next page; leave it out")])
    sides, failed = list[Side](), list[AlsoboughtError]()
    for side in asked.sides:
        team = side.draw.variant.name if side.draw.variant else ""
        try:
            sides.append(Side(team, compute_side(side)))
        except AlsoboughtError as error:
            if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            log.warning("experiment %s: the variant %s of a list failed: %s", asked.draw.experiment, team, error)
            failed.append(error)
    if not sides:
        raise failed[0]
    if len(sides) == 1:
        return alone(sides[0].answer)
    limits = [limit for limit in map(_limit, asked.sides) if limit is not None]
    keys = asked.raw.get(sides[0].answer.pipe.header.key, [])
    draw, day = asked.draw, service().clock().date().isoformat()
    request = sorted((name, values) for name, values in asked.requested.items() if name not in OF_THE_LIST)

    def coins(key: str) -> Iterator[int]:
        """Of the list of a unit on a day: it begins alike however often and however long it is asked for."""
        return coins_of(draw.seed, draw.unit, day, request, key)

    return interleaved(sides, keys, min(limits, default=None), service().library.variants, coins)
