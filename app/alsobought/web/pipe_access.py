"""What a principal may ask: the pipes of a list, the parameters of a request, and what a token fixes."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from flask import current_app

from alsobought.access.scopes import READ, Principal, may_ask, reads
from alsobought.errors import NoSuchPipe, NotAllowed
from alsobought.pipes.audience import Audience, audience, names_user
from alsobought.pipes.pipe import Pipe, is_provided
from alsobought.web.access import lacking, principal
from alsobought.web.context import service

AUDIENCE_SECONDS, MAX_AUDIENCES = 1.0, 10_000


def audience_of(pipe: Pipe) -> Audience:
    """Whose data a pipe shows, with its fallbacks, which are looked at again after AUDIENCE_SECONDS."""
    known: dict[tuple[str, str], tuple[float, Audience]] = current_app.extensions.setdefault("audiences", {})
    key = (pipe.name, pipe.version)
    now = time.monotonic()
    if (recent := known.get(key)) and now - recent[0] < AUDIENCE_SECONDS:
        return recent[1]
    made = audience(pipe, _find_pipe)
    known[key] = (now, made)
    if len(known) > MAX_AUDIENCES:
        known.clear()
    return made


def _find_pipe(name: str) -> Pipe | None:
    with suppress(NoSuchPipe):
        return service().library.entry(name).pipe
    return None


def may_list(pipe: Pipe) -> bool:
    """True if the caller may ask this pipe with some parameters."""
    asking, users = principal(), audience_of(pipe)
    given = users.needed & asking.fixed.keys()
    return may_ask(asking, pipe.name, users, given) and not _ignored(asking, pipe)


def _ignored(token: Principal, pipe: Pipe) -> str:
    """A fixed parameter that the pipe would ignore; a pipe that takes no user may be asked with any."""
    taken = {parameter.name for parameter in pipe.parameters}
    return min((name for name in token.fixed if name not in taken and not names_user(name)), default="")


def authorize_pipe(name: str, raw: dict[str, list[Any]]) -> None:
    """Check that the caller may ask this; fill in what a token fixes. Raises NotAllowed, NoSuchPipe, PipeBroken."""
    asking = principal()
    if asking.kind == "open":
        return
    if not reads(asking, name):
        raise lacking(asking, f"{READ}:{name}")
    if asking.kind == "secret":
        return
    pipe = service().library.answering(name, raw)
    users = audience_of(pipe)
    if asking.kind == "token":
        _fill_in(asking, pipe, raw)
    if ignored := _ignored(asking, pipe):
        raise NotAllowed(
            f"the pipe {name} does not take {ignored}, which the token fixes", "Name other pipes in the token"
        )
    given = {p.name for p in pipe.parameters if any(is_provided(raw, alias) for alias in (p.name, *p.former_names))}
    if not may_ask(asking, name, users, given):
        shown = ", ".join(sorted(users.parameters & given or users.columns or users.needed)) or "a user"
        if asking.kind == "token":
            raise NotAllowed(f"the token does not cover the pipe {name} with these parameters", f"It is about {shown}")
        raise NotAllowed(
            f"a browser key cannot ask {name} about {shown}",
            "Ask from the server with a secret key, or with a token: POST /tokens",
        )


def _fill_in(token: Principal, pipe: Pipe, raw: dict[str, list[Any]]) -> None:
    """Give the fixed parameters, under their present names. Raises NotAllowed for another value, or one that is repeated."""
    for parameter in pipe.parameters:
        if (value := token.fixed.get(parameter.name)) is None:
            continue
        for alias in (parameter.name, *parameter.former_names):
            if alias in raw and is_provided(raw, alias) and list(raw[alias]) != [value]:
                raise NotAllowed(f"the token fixes {parameter.name}", f"Leave out {alias}: it is filled in")
            raw.pop(alias, None)
        raw[parameter.name] = [value]
