"""Surfaces and experiments that are valid together, and what a request to a surface gets: the draw of its variant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from alsobought.pipes.pipe import Pipe
from alsobought.recommendation_ids import Placement
from alsobought.surfaces.experiment import INTERLEAVED, Experiment, Variant
from alsobought.surfaces.surface import Surface

IsStopped = Callable[[str, str], bool]
"""True if this variant of this experiment is not shown any more, although the experiment runs. Asked by every request."""


@dataclass(frozen=True)
class Units:
    """Who asks: the two ids by which variants are drawn. A guest is the user that its session_id names."""

    user_id: str = ""
    session_id: str = ""

    def of(self, experiment: Experiment) -> str:
        """The unit of an experiment; empty if the request does not name one."""
        return self.session_id if experiment.unit == "session" else self.user_id or self.session_id


@dataclass(frozen=True)
class Draw:
    """What a request to a surface gets. Without a variant it is the surface as it is, and no experiment counts the request.

    `teams` are the two variants that fill an interleaved list, and `seed` salts their draft; the variant then has the pipe of the
    first, the control.
    """

    surface: Surface
    units: Units = Units()
    experiment: str = ""
    variant: Variant | None = None
    unit: str = ""
    teams: tuple[Variant, ...] = ()
    seed: str = ""

    @property
    def sides(self) -> list[Draw]:
        """What each team of an interleaved list would show alone, without a shadow; none for any other list."""
        surface = replace(self.surface, shadow="") if self.teams else self.surface
        return [replace(self, surface=surface, variant=team, teams=()) for team in self.teams]

    @property
    def pipe(self) -> str:
        return (self.variant.pipe if self.variant else "") or self.surface.pipe

    @property
    def holdout(self) -> bool:
        return bool(self.variant and self.variant.holdout)

    def placement(self, version: str) -> Placement:
        return Placement(
            self.pipe, version, self.surface.name, self.experiment, self.variant.name if self.variant else ""
        )

    def fixed(self, pipe: Pipe) -> Mapping[str, Any]:
        """The values that the surface and the variant fix, those of the surface as far as another pipe takes them."""
        taken = {parameter.name for parameter in pipe.parameters}
        own = {name: value for name, value in self.surface.parameters.items() if name in taken}
        return {**own, **(self.variant.parameters if self.variant else {})}


def nothing_stopped(_experiment: str, _variant: str) -> bool:
    return False


@dataclass(frozen=True)
class Experiments:
    """Those of a project. `stopped` says which variants a guard has taken out; a control is never one."""

    by_name: Mapping[str, Experiment] = field(default_factory=dict)
    stopped: IsStopped = nothing_stopped

    def running(self, surface: str, at: datetime) -> Experiment | None:
        """The experiment on a surface at this time: there is one at most."""
        on_surface = (one for one in self.by_name.values() if one.surface == surface)
        return next((one for one in on_surface if one.is_running(at)), None)

    def draw(self, surface: Surface, units: Units, at: datetime) -> Draw:
        """A unit of a stopped variant gets the surface as it is, outside the experiment: the control keeps its own units."""
        experiment = self.running(surface.name, at) if self.by_name else None
        unit = units.of(experiment) if experiment else ""
        variant = experiment.variant_of(unit) if experiment and unit else None
        if experiment and variant and experiment.interleave:
            variant = replace(experiment.variants[0], name=INTERLEAVED)
            return Draw(surface, units, experiment.name, variant, unit, experiment.variants, experiment.seed)
        if experiment is None or variant is None or self.stopped(experiment.name, variant.name):
            return Draw(surface, units)
        return Draw(surface, units, experiment.name, variant, unit)


@dataclass(frozen=True)
class Layout:
    """The surfaces of a project, and the experiments on them."""

    surfaces: Mapping[str, Surface] = field(default_factory=dict)
    experiments: Experiments = Experiments()

    def draw(self, surface: str, units: Units, at: datetime) -> Draw | None:
        """None for a surface that does not exist."""
        known = self.surfaces.get(surface)
        return self.experiments.draw(known, units, at) if known else None

    def alternatives(self, surface: Surface, at: datetime) -> Iterator[Draw]:
        """Every list that a request to a surface may get now: the surface as it is, and each variant."""
        yield Draw(surface)
        experiment = self.experiments.running(surface.name, at)
        for variant in experiment.variants if experiment else ():
            yield Draw(surface, experiment=experiment.name if experiment else "", variant=variant)
