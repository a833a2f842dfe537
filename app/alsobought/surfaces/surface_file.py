"""`sql/surfaces.yaml`: from its text to surfaces, checked against the pipes.

product_page.bottom:
  pipe: also_bought
  parameters: {min_baskets: 2}
  limit: 8
  fallbacks: [popular]
  shadow: also_bought_ranked
"""

from __future__ import annotations

import re

from alsobought.pipes.library import Library
from alsobought.surfaces.pipe_values import OF_REQUESTS, PipeValues
from alsobought.surfaces.sections import Section
from alsobought.surfaces.surface import Surface
from alsobought.surfaces.yaml_parts import Faults, Part, read_parts

NAME = "surfaces.yaml"
KEYS = ("pipe", "parameters", "limit", "fallbacks", "shadow")
NAMED = re.compile(r"[A-Za-z0-9_-]{1,100}(?:\.[A-Za-z0-9_-]{1,100}){0,5}")
SUFFIXES = ("json", "csv", "ndjson", "parquet")  # of paths, which choose a format


def read_surfaces(text: str, library: Library, faults: Faults) -> dict[str, Surface]:
    """The surfaces that have no fault. Raises PipeFault for a text that cannot be read at all."""
    surfaces = {}
    for name, part in read_parts(text, faults).items():
        before = len(faults)
        surface = _surface(name, part, library, faults)
        if surface and len(faults) == before:
            surfaces[name] = surface
    return surfaces


def _surface(name: str, part: Part, library: Library, faults: Faults) -> Surface | None:
    if not NAMED.fullmatch(name) or name.rpartition(".")[2] in SUFFIXES:
        hint = "Use letters, digits, _ and -, in parts with a dot between them: product_page.bottom"
        ending = f"; it cannot end in .{name.rpartition('.')[2]}" if NAMED.fullmatch(name) else ""
        faults.add(part, f"{name[:60]!r} is not the name of a surface{ending}", hint)
    section = Section(name, part, KEYS, faults)
    if not part.is_mapping:
        return None
    if "pipe" not in section:
        section.fault("pipe", f"{name} has no pipe", "Write pipe: and the name of one")
        return None
    values = PipeValues(library, faults)
    pipe_name = section.text("pipe")
    pipe = values.pipe(pipe_name, section.at("pipe")) if pipe_name else None
    if pipe is None:
        return Surface(name, pipe_name)
    fixed = values.fixed(pipe, section.parts("parameters"))
    if "limit" in section and "limit" in fixed:
        section.fault("limit", "limit is also among the parameters", "Keep one of the two")
    limit = values.limit(pipe, section.at("limit")) if "limit" in section else None
    fallbacks = section.texts("fallbacks")
    for number, (fallback, where) in enumerate(fallbacks):
        if fallback in (pipe_name, *(earlier for earlier, _ in fallbacks[:number])):
            faults.add(where, f"{fallback} is named twice", "Keep one of the two")
        values.fallback(pipe, fallback, where, fixed)
    shadow = section.text("shadow")
    if shadow == pipe_name:
        section.fault("shadow", f"{shadow} is the pipe of the surface itself", "Name the pipe to compare it with")
    elif shadow and (other := values.pipe(shadow, section.at("shadow"))):
        values.can_have(other, section.at("shadow"), [*(p.name for p in pipe.parameters), *OF_REQUESTS])
    return Surface(name, pipe_name, fixed, limit, tuple(fallback for fallback, _ in fallbacks), shadow)
