"""A request to a surface: the variant that it draws, and the parameters that the pipe of it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from alsobought.errors import Detail, NoSuchPipe, NoSuchSurface, PipeBroken
from alsobought.events import ID_LENGTH
from alsobought.pipes.library import Library, Pipe
from alsobought.pipes.parameters import (
    CURSOR,
    MAX_UNKNOWN,
    Listed,
    Parameter,
    bad_parameters,
    unknown_name,
    values,
)
from alsobought.pipes.pipe import is_provided
from alsobought.pipes.placeholder_file import placeholders_of
from alsobought.pipes.types import shorten
from alsobought.surfaces.draw import Draw, Layout, Units
from alsobought.surfaces.pipe_values import OF_REQUESTS
from alsobought.surfaces.surface import Surface
from alsobought.surfaces.yaml_parts import did_you_mean

Raw = Mapping[str, list[Any]]
EXPLORATION = ("explore", "explore_new", "seed")  # parameters
USER, SESSION = (
    Parameter(name, "String", description, optional=True, min_length=0, max_length=ID_LENGTH)
    for name, description in (
        ("user_id", "the user; a guest is the user that session_id names"),
        ("session_id", "the session of a guest, or of the visit"),
    )
)


@dataclass(frozen=True)
class SurfaceRequest:
    """`raw` has the parameters of the pipe, as `CachedAnswers.answer` takes them; `requested` are those of the request.

    `sides` are the requests of the teams of an interleaved list whose pipes are not broken: at least one.
    """

    draw: Draw
    raw: dict[str, list[Any]]
    requested: Raw
    sides: tuple[SurfaceRequest, ...] = ()


def find_surface(layout: Layout, name: str) -> Surface:
    """Raises NoSuchSurface."""
    if name not in layout.surfaces:
        names = ", ".join(layout.surfaces)
        hint = did_you_mean(name, [*layout.surfaces]) if names else "sql/surfaces.yaml has none without a fault"
        raise NoSuchSurface(f"no surface called {shorten(name)!r}", hint)
    return layout.surfaces[name]


def units_of(raw: Raw, library: Library) -> Units:
    """Who asks. A placeholder such as `undefined` is nobody. Raises BadParameters."""
    bound = values((USER, SESSION), {name: raw[name] for name in (USER.name, SESSION.name) if name in raw})
    nobody = placeholders_of(library.folder.parent).nobody
    return Units(**{name: "" if text in nobody else text for name, text in bound.items()})


def surface_requests(
    layout: Layout, library: Library, name: str, raw: Raw, at: datetime, *, guest_is_user: bool = True
) -> Iterator[SurfaceRequest]:
    """The request to this surface for what it draws, and then for all else that it may draw now.

    A pipe that takes a user gets the session_id of a guest as that; if not `guest_is_user`, only where it needs one.

    Raises NoSuchSurface, NoSuchPipe, PipeBroken, BadParameters.
    """
    surface = find_surface(layout, name)
    drawn = layout.draw(name, units_of(raw, library), at) or Draw(surface)
    pipes = {} if drawn.sides else {drawn.pipe: library[drawn.pipe]}
    for one in layout.alternatives(surface, at):
        with suppress(NoSuchPipe, PipeBroken):  # the fault of those who draw it
            pipes.setdefault(one.pipe, library[one.pipe])
    sides = [side for side in drawn.sides if side.pipe in pipes]
    if drawn.sides and not sides:
        library[drawn.pipe]  # raises what is wrong with it
    alternatives = [*(sides or [drawn]), *(one for one in layout.alternatives(surface, at) if one.pipe in pipes)]
    _check_names(surface, raw, alternatives, pipes)

    def request_of(draw: Draw) -> SurfaceRequest:
        return SurfaceRequest(draw, parameters_of(pipes[draw.pipe], draw, raw, guest_is_user=guest_is_user), raw)

    if sides:
        asked = tuple(map(request_of, sides))
        yield replace(asked[0], draw=drawn, sides=asked)
        alternatives = alternatives[len(sides) :]
    yield from map(request_of, alternatives)


def parameters_of(pipe: Pipe, draw: Draw, raw: Raw, *, guest_is_user: bool = True) -> dict[str, list[Any]]:
    """The parameters of a request, as far as the pipe takes them, and those that the surface fixes."""
    taken = {name for parameter in pipe.parameters for name in (parameter.name, *parameter.former_names)}
    given: dict[str, list[Any]] = {
        name: raw[name] for name in raw if name in taken or (name == CURSOR.name and pipe.limit)
    }
    if given.get(USER.name) in ([""], []):
        del given[USER.name]
    user = next((parameter for parameter in pipe.parameters if parameter.name == USER.name), None)
    if user and (guest_is_user or user.required) and USER.name not in given and SESSION.name in raw:
        given[USER.name] = raw[SESSION.name]
    for name, value in draw.fixed(pipe).items():
        given[name] = Listed(value if isinstance(value, list) else [value])
    if pipe.limit and draw.surface.limit and not is_provided(given, "limit"):
        given["limit"] = [min(draw.surface.limit, pipe.limit.bounds()[1])]
    return given


def without_exploration(raw: Raw) -> dict[str, list[Any]]:
    """The same request for a list without chance.

    >>> without_exploration({"user_id": ["ada"], "explore": [0.2], "seed": [7]})
    {'user_id': ['ada']}
    """
    return {name: values for name, values in raw.items() if name not in EXPLORATION}


def takes(surface: Surface, pipes: Sequence[Pipe], fixed: Sequence[str] = ()) -> list[str]:
    """The names of the parameters that a request to this surface may have."""
    names = [parameter.name for pipe in pipes for parameter in pipe.parameters]
    return [name for name in dict.fromkeys((*names, *OF_REQUESTS)) if name not in (*surface.parameters, *fixed)]


def _check_names(surface: Surface, raw: Raw, alternatives: Sequence[Draw], pipes: Mapping[str, Pipe]) -> None:
    """The faults are the same whatever the request draws."""
    fixed = {name for one in alternatives for name in one.fixed(pipes[one.pipe])}
    former = {name for pipe in pipes.values() for parameter in pipe.parameters for name in parameter.former_names}
    names = takes(surface, list(pipes.values()), [*fixed])
    faults = [Detail(name, f"fixed by the surface {surface.name}; leave it out") for name in raw if name in fixed]
    pages = {CURSOR.name} if any(pipe.limit for pipe in pipes.values()) else set()
    unknown = [name for name in raw if name not in {*names, *former, *fixed, *pages}]
    faults += [Detail(shorten(name), unknown_name(name, names, "this surface")) for name in unknown[:MAX_UNKNOWN]]
    if faults:
        raise bad_parameters(faults)
