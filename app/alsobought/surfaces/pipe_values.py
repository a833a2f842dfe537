"""Check the pipes of a surface or a variant: that they exist, and take the values that the file gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alsobought.pipes.audience import names_user
from alsobought.pipes.fallbacks import FILTERS, item_column
from alsobought.pipes.library import Library, Pipe
from alsobought.pipes.parameters import Parameter
from alsobought.surfaces.sections import plain
from alsobought.surfaces.yaml_parts import Faults, Part, did_you_mean

OF_REQUESTS = ("user_id", "session_id", "item_id", "exclude")
"""Every request to a surface may have these: who asks, what is on the page, and what not to show."""


class PipeValues:
    """The checks against a library; what is wrong is added to the faults."""

    def __init__(self, library: Library, faults: Faults) -> None:
        self._library, self._faults = library, faults
        self._names = library.names()

    def pipe(self, name: str, part: Part) -> Pipe | None:
        """None, and a fault, for one that does not exist or is broken."""
        if name not in self._names:
            self._faults.add(part, f"there is no pipe {name!r}", did_you_mean(name, self._names))
            return None
        pipe = self._library.entry(name).pipe
        if pipe is None:
            self._faults.add(part, f"the pipe {name} is broken", "`alsobought pipe check` shows its faults")
        return pipe

    def fixed(self, pipe: Pipe, parts: Mapping[str, Part]) -> dict[str, Any]:
        """The values of parameters, as lists for the ones that are repeated."""
        by_name = {parameter.name: parameter for parameter in pipe.parameters}
        values = {}
        for name, part in parts.items():
            parameter = by_name.get(name)
            if parameter is None:
                self._faults.add(part, f"the pipe {pipe.name} takes no {name}", did_you_mean(name, [*by_name]))
            elif names_user(name):
                self._faults.add(part, f"{name} cannot be fixed: everybody would see the lists of one user")
            else:
                values[name] = self._value(parameter, part)
        return values

    def limit(self, pipe: Pipe, part: Part) -> int | None:
        if pipe.limit is None:
            self._faults.add(part, f"the pipe {pipe.name} takes no limit", "Leave it out")
            return None
        value = self._value(pipe.limit, part)
        return value if isinstance(value, int) else None

    def fallback(self, pipe: Pipe, name: str, part: Part, fixed: Mapping[str, Any]) -> None:
        """A fault if this pipe could never fill a list of that one."""
        other = self.pipe(name, part)
        if other is None:
            return
        if not item_column([column for column, _ in pipe.columns]) or not item_column([c for c, _ in other.columns]):
            self._faults.add(part, f"{name} cannot fill the list of {pipe.name}: both must have a column item_id")
        taken = {parameter.name for parameter in other.parameters}
        if ignored := [filter_ for filter_ in FILTERS if filter_ in fixed and filter_ not in taken]:
            self._faults.add(part, f"{name} does not take {ignored[0]}, which the surface fixes", "Name another pipe")
        self.can_have(other, part, [parameter.name for parameter in pipe.parameters])

    def instead(self, pipe: Pipe, other: Pipe, part: Part, fixed: Mapping[str, Any]) -> None:
        """A fault if requests to that pipe cannot be answered by this other one."""
        taken = {parameter.name for parameter in other.parameters}
        if ignored := [p.name for p in pipe.parameters if p.name in FILTERS and p.name not in taken]:
            self._faults.add(
                part,
                f"{other.name} does not take {ignored[0]}, by which requests may filter the list of {pipe.name}",
                "Add `@use filters` to its header, or name another pipe",
            )
        self.can_have(other, part, [*(p.name for p in pipe.parameters), *OF_REQUESTS, *fixed])

    def can_have(self, other: Pipe, part: Part, given: Sequence[str]) -> None:
        for parameter in other.parameters:
            if parameter.required and parameter.name not in given:
                self._faults.add(
                    part, f"{other.name} needs {parameter.name}, which no request gives", "Name another pipe"
                )

    def _value(self, parameter: Parameter, part: Part) -> Any:
        given = plain(part)
        try:
            if not parameter.repeated:
                return parameter.read(given)
            return [parameter.read(one) for one in (given if isinstance(given, list) else [given])]
        except ValueError as error:
            self._faults.add(part, f"{parameter.name}: {error}", parameter.description)
            return None
