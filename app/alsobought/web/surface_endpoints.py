"""`GET /recommend` and `GET or POST /recommend/<surface>`: the list of surfaces, the list of one, and those of a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import replace
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, g, request

from alsobought.errors import AlsoboughtError, Detail, NoSuchPipe, NotAcceptable, NotAllowed
from alsobought.pipes.parameters import CURSOR, bad_parameters, unknown_name
from alsobought.pipes.pipe import Pipe
from alsobought.pipes.types import shorten
from alsobought.serving.answer import Answer
from alsobought.serving.surface_page import SurfacePage
from alsobought.serving.surface_requests import (
    SESSION,
    USER,
    SurfaceRequest,
    find_surface,
    surface_requests,
    takes,
)
from alsobought.surfaces.draw import Layout
from alsobought.surfaces.pipe_values import OF_REQUESTS
from alsobought.surfaces.surface import Surface
from alsobought.surfaces.surface_file import SUFFIXES
from alsobought.web.access import principal
from alsobought.web.answering import Answered, answer_response, compute_and_record
from alsobought.web.context import json_response, service
from alsobought.web.deprecations import mark
from alsobought.web.error_handlers import error_member
from alsobought.web.formats import choose_format, to_json
from alsobought.web.pipe_access import authorize_pipe, may_list
from alsobought.web.pipe_endpoints import describe_parameter
from alsobought.web.request_body import read_parameters, take_fresh
from alsobought.web.surface_answers import compute, compute_on_page

blueprint = Blueprint("surfaces", __name__, url_prefix="/recommend")

MAX_SURFACES = 20  # of one request
SURFACE = "surface"


@blueprint.route("", methods=["GET", "POST"])
def recommend() -> Response:
    """The lists of several surfaces; without one, which surfaces there are."""
    raw = read_parameters()
    if SURFACE not in raw and request.method == "GET":
        return json_response({"surfaces": _listed(), "request_id": g.request_id})
    if choose_format("", request.accept_mimetypes) != "json":
        raise NotAcceptable(
            "several surfaces are answered as JSON only", "Use application/json, or ask for one surface"
        )
    names = _surface_names(raw.pop(SURFACE, []))
    fresh = take_fresh(raw) or bool(request.cache_control.no_cache)
    _with_token(raw)
    layout, now = service().surfaces.current(), service().clock()
    asked, failed = _page_requests(layout, names, raw, now)
    page = SurfacePage(service().library.variants)
    page.already_shows([item for item in raw.get("item_id", ()) if isinstance(item, str)])
    members = {}
    for name in names:
        with _collected(name, failed):
            if name in asked:
                answered = _answer(asked[name], partial(compute_on_page, page, asked[name], fresh=fresh))
                members[name] = to_json(answered.answer, g.request_id, answered.recommendation_id, answered.placement)
    if not members:
        raise failed[names[0]]
    members |= {name: error_member(error) for name, error in failed.items()}
    members = {name: members[name] for name in names}
    response = Response(_joined(members), mimetype="application/json")
    response.headers["Cache-Control"] = "private, no-store"
    return response


@blueprint.route("/<path:surface>", methods=["GET", "POST"])
def recommend_on(surface: str) -> Response:
    """The list of one surface, in the formats of a pipe."""
    stem, _, suffix = surface.rpartition(".")
    name, suffix = (stem, suffix) if stem and suffix in SUFFIXES else (surface, "")
    fmt = choose_format(suffix, request.accept_mimetypes)
    raw = read_parameters()
    fresh = take_fresh(raw) or bool(request.cache_control.no_cache)
    _with_token(raw)
    asked = _authorized(service().surfaces.current(), name, raw, service().clock())
    answered = _answer(asked, partial(compute, asked, fresh=fresh))
    deprecated = answered.answer.pipe.deprecated(asked.raw)
    holdout = asked.draw.holdout
    response = answer_response(answered, fmt, raw, may_repeat=not deprecated and not fresh, cacheable=not holdout)
    mark(response, asked.draw.pipe, deprecated)
    return response


@blueprint.after_request
def _add_vary(response: Response) -> Response:
    if request.endpoint == "surfaces.recommend_on":
        response.headers.add("Vary", "Accept")
    return response


# A request


def _with_token(raw: dict[str, list[Any]]) -> None:
    """Fill in whom a token is about, also for a pipe that takes no user. Raises NotAllowed for another one."""
    for name in (USER.name, SESSION.name):
        if (value := principal().fixed.get(name)) is None:
            continue
        if [given for given in raw.get(name, []) if given != ""] not in ([], [value]):
            raise NotAllowed(f"the token fixes {name}", f"Leave out {name}: it is filled in")
        raw[name] = [value]


def _authorized(layout: Layout, name: str, raw: dict[str, list[Any]], now: datetime) -> SurfaceRequest:
    """The request to a surface, if the caller may ask every pipe that it may draw: a key works for all units, or for none.

    A browser key may not ask about a user: the session_id that it sends with a list that is for everybody only draws the variant.
    """
    guest_is_user = principal().kind != "browser"
    asked = list(surface_requests(layout, service().library, name, raw, now, guest_is_user=guest_is_user))
    for one in asked:
        for side in one.sides or (one,):
            authorize_pipe(side.draw.pipe, side.raw)
    return asked[0]


def _answer(asked: SurfaceRequest, compute: Callable[[], Answer]) -> Answered:
    version = service().library.version(asked.draw.pipe)
    return compute_and_record(asked.draw.placement(version), asked.raw, compute, asked.draw)


# Several surfaces


def _surface_names(given: Sequence[Any]) -> list[str]:
    names = [name for text in given for name in (text.split(",") if isinstance(text, str) else [str(text)])]
    problem = ""
    if not names:
        problem = "missing; name the surfaces of the page"
    elif len(names) > MAX_SURFACES:
        problem = f"{len(names)} surfaces; at most {MAX_SURFACES}"
    elif len({*names}) < len(names):
        problem = f"{shorten(max(names, key=names.count))} is named twice"
    if problem:
        raise bad_parameters([Detail(SURFACE, problem)])
    return names


def _page_requests(
    layout: Layout, names: Sequence[str], raw: dict[str, list[Any]], now: datetime
) -> tuple[dict[str, SurfaceRequest], dict[str, AlsoboughtError]]:
    """The request to each surface: it has the parameters that the surface takes. Some surface must take each of them.

    And the errors of surfaces whose pipes are broken, which may take anything.
    """
    if CURSOR.name in raw:
        problem = "the lists of a page have no next page; ask for one surface: /recommend/NAME"
        raise bad_parameters([Detail(CURSOR.name, problem)])
    taken, failed = dict[str, set[str]](), dict[str, AlsoboughtError]()
    for name, surface in [(name, find_surface(layout, name)) for name in names]:
        with _collected(name, failed):
            taken[name] = {*_taken(layout, surface, now), *OF_REQUESTS}
    known = sorted(set[str]().union(*taken.values()))
    unknown = [Detail(shorten(name), unknown_name(name, known, "these surfaces")) for name in raw if name not in known]
    if unknown and not failed:
        raise bad_parameters(unknown)
    asked = {}
    for name, names_taken in taken.items():
        own = {parameter: values for parameter, values in raw.items() if parameter in names_taken}
        with _collected(name, failed):
            asked[name] = _authorized(layout, name, own, now)
    return asked, failed


@contextmanager
def _collected(surface: str, failed: dict[str, AlsoboughtError]) -> Iterator[None]:
    """A fault of the service is that of this surface alone. One of the request is that of the page, and names the surface."""
    try:
        yield
    except AlsoboughtError as error:
        named = copy(error)  # others may wait for the same one
        named.message = f"{surface}: {error.message}"
        if error.status < HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, NoSuchPipe):
            raise named from error
        failed[surface] = error


def _taken(layout: Layout, surface: Surface, now: datetime) -> set[str]:
    """All names that a request may give, those that the surface fixes and former ones included, which have errors of their own."""
    pipes = _pipes(layout, surface, now)
    own = {name for pipe in pipes for one in pipe.parameters for name in (one.name, *one.former_names)}
    return own | {*surface.parameters}


def _pipes(layout: Layout, surface: Surface, now: datetime) -> list[Pipe]:
    library = service().library
    return [library[name] for name in dict.fromkeys(one.pipe for one in layout.alternatives(surface, now))]


def _joined(members: dict[str, bytes]) -> bytes:
    surfaces = b",".join(b'"%s":%s' % (name.encode(), body) for name, body in members.items())
    return b'{"surfaces":{%s},"request_id":"%s"}' % (surfaces, g.request_id.encode())


# The list of surfaces


def _listed() -> list[dict[str, Any]]:
    """Those that the caller may ask; one whose pipe is broken is left out."""
    layout, now = service().surfaces.current(), service().clock()
    listed = []
    for surface in layout.surfaces.values():
        with suppress(AlsoboughtError):
            pipes = _pipes(layout, surface, now)
            if all(map(may_list, pipes)):
                listed.append(_described(surface, pipes))
    return listed


def _described(surface: Surface, pipes: Sequence[Pipe]) -> dict[str, Any]:
    own = {parameter.name: parameter for pipe in reversed(pipes) for parameter in pipe.parameters}
    needs_user = USER.name in own and own[USER.name].required
    own |= {USER.name: replace(USER, optional=not needs_user), SESSION.name: SESSION}
    if surface.limit and "limit" in own:
        own["limit"] = replace(own["limit"], default=surface.limit)
    parameters = {name: own.get(name) for name in takes(surface, pipes)}
    return {
        "name": surface.name,
        "pipe": surface.pipe,
        "limit": surface.limit,
        "fallbacks": surface.fallbacks,
        "fixed": surface.parameters,
        "parameters": [describe_parameter(parameter) for parameter in parameters.values() if parameter],
    }
