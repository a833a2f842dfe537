"""`sql/experiments.yaml`: from its text to experiments, checked against the surfaces and the pipes.

ranked_below_products:
  surface: product_page.bottom
  from: 2026-12-01
  until: 2026-12-31
  variants:
    control: {share: 45%}
    ranked: {share: 45%, pipe: also_bought_ranked}
    nothing: {share: 10%, holdout: true}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Literal, cast, get_args

from alsobought.pipes.library import Library
from alsobought.surfaces.experiment import BUCKETS, Experiment, Guardrail, Unit, Variant
from alsobought.surfaces.metrics import METRICS, OF_LISTS
from alsobought.surfaces.pipe_values import PipeValues
from alsobought.surfaces.sections import Section
from alsobought.surfaces.surface import Surface
from alsobought.surfaces.teams import check_teams
from alsobought.surfaces.yaml_parts import Faults, Part, did_you_mean, read_parts

NAME = "experiments.yaml"
KEYS = ("surface", "unit", "metric", "minimum_effect", "guardrails", "from", "until", "salt", "interleave", "variants")
GUARDRAIL_KEYS = ("metric", "at_most_worse")
VARIANT_KEYS = ("share", "pipe", "parameters", "holdout")
NAMED = re.compile(r"[A-Za-z0-9_-]{1,100}")
SHARE = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?\s?%")
ONE_PERCENT = BUCKETS // 100
ONE_HALF = 0.5


def read_experiments(
    text: str, surfaces: Mapping[str, Surface], library: Library, faults: Faults
) -> dict[str, Experiment]:
    """The experiments that have no fault. Raises PipeFault for a text that cannot be read at all."""
    experiments: dict[str, Experiment] = {}
    for name, part in read_parts(text, faults).items():
        before = len(faults)
        section = Section(name, part, KEYS, faults)
        experiment = _experiment(name, section, surfaces, library, faults) if part.is_mapping else None
        if experiment:
            _refuse_overlap(section, experiment, experiments)
            if len(faults) == before:
                experiments[name] = experiment
    return experiments


def _experiment(
    name: str, section: Section, surfaces: Mapping[str, Surface], library: Library, faults: Faults
) -> Experiment | None:
    _check_name(name, section.part, "an experiment", faults)
    surface_name = section.text("surface")
    surface = surfaces.get(surface_name)
    if surface is None:
        problem = f"no valid surface is called {surface_name!r}" if surface_name else f"{name} has no surface"
        section.fault("surface", problem, did_you_mean(surface_name, [*surfaces]))
    since, until = section.day("from", date.min), section.day("until", date.max)
    if since > until:
        section.fault("from", f"from {since} is after until {until}", "Both days are included")
    unit = section.text("unit", "user", get_args(Unit))
    variants = _variants(name, section, surface, library, faults)
    if surface is None:
        return None
    interleave = section.flag("interleave")
    if interleave:
        check_teams(section, variants, surface, library)
    metric, salt = _metric(section, interleave=interleave), section.text("salt")
    guardrails = tuple(_guardrails(name, section, faults))
    effect = _percentage(section, "minimum_effect", Experiment.minimum_effect)
    if interleave and effect >= ONE_HALF:
        section.fault("minimum_effect", f"minimum_effect: no preference is {effect:.0%} from one half", "Write 5%: 55%")
    return Experiment(
        name, surface_name, variants, cast(Unit, unit), metric, guardrails, since, until, salt, interleave, effect
    )


def _metric(section: Section, *, interleave: bool) -> str:
    """What the experiment is judged by, from the metrics that can."""
    usable, other = ([*OF_LISTS], [*METRICS]) if interleave else ([*METRICS], [*OF_LISTS])
    if (given := section.at("metric").value) in other and "metric" in section:
        if interleave:
            message, way = f"metric: interleaved lists cannot be judged by {given}", "leave out interleave"
        else:
            message, way = f"metric: {given} judges interleaved lists", "write interleave: true"
        section.fault("metric", message, f"Write one of {', '.join(usable)}; or {way}")
        return usable[0]
    return section.text("metric", usable[0], usable)


def _guardrails(name: str, section: Section, faults: Faults) -> Iterator[Guardrail]:
    """Each is the name of a metric, or {metric: …, at_most_worse: 5%}."""
    for part in section.listed("guardrails"):
        named = part if part.is_mapping else Part(part.line, {"metric": part})
        one = Section(f"a guardrail of {name}", named, GUARDRAIL_KEYS, faults)
        if "metric" not in one:
            one.fault("metric", f"a guardrail of {name} has no metric", "Write guardrails: [click_through_rate]")
        metric = one.text("metric", Experiment.metric, [*METRICS])
        yield Guardrail(metric, _percentage(one, "at_most_worse", Guardrail.at_most_worse))


def _percentage(section: Section, name: str, default: float) -> float:
    """0.05 for 5%."""
    if name not in section:
        return default
    text = str(section.at(name).value)
    match = SHARE.fullmatch(text)
    value = float(text.rstrip("% ")) / 100 if match else 0.0
    if not 0 < value < 1:
        section.fault(name, f"{name}: {text[:60]} is not a percentage", f"Write {name}: 5%, with at most two decimals")
        return default
    return value


def _check_name(name: str, part: Part, what: Literal["an experiment", "a variant"], faults: Faults) -> None:
    if not NAMED.fullmatch(name):
        faults.add(part, f"{name[:60]!r} is not the name of {what}", "Use letters, digits, _ and -")


def _variants(
    name: str, section: Section, surface: Surface | None, library: Library, faults: Faults
) -> tuple[Variant, ...]:
    variants = []
    for variant_name, part in section.parts("variants").items():
        _check_name(variant_name, part, "a variant", faults)
        one = Section(variant_name, part, VARIANT_KEYS, faults)
        if part.is_mapping:
            variants.append(_variant(variant_name, one, surface, library, faults))
    if len(variants) < 2:
        hint = "Write variants: control: {share: 50%}, and another one below it"
        section.fault("variants", f"{name} has fewer than two variants", hint)
    elif variants[0].holdout:
        section.fault("variants", "the first variant is the control: it cannot be a holdout", "Put another one first")
    if (total := sum(variant.buckets for variant in variants)) > BUCKETS:
        shown = f"{total / ONE_PERCENT:g}%"
        section.fault(
            "variants", f"the shares of {name} sum to {shown}", "Write at most 100%: the rest sees no variant"
        )
    return tuple(variants)


def _variant(name: str, section: Section, surface: Surface | None, library: Library, faults: Faults) -> Variant:
    buckets, holdout, pipe_name = _share(section), section.flag("holdout"), section.text("pipe")
    if holdout and ("pipe" in section or "parameters" in section):
        section.fault("holdout", f"{name} is a holdout, which shows nothing", "Leave out pipe and parameters")
    values = PipeValues(library, faults)
    asked = pipe_name or (surface.pipe if surface else "")
    pipe = values.pipe(asked, section.at("pipe")) if asked else None
    if pipe is None:
        return Variant(name, buckets, pipe_name, {}, holdout)
    fixed = values.fixed(pipe, section.parts("parameters"))
    if surface and pipe_name and (own := library.entry(surface.pipe).pipe):
        values.instead(own, pipe, section.at("pipe"), fixed)
    return Variant(name, buckets, pipe_name, fixed, holdout)


def _share(section: Section) -> int:
    """The buckets of a share such as 45% or 2.5%."""
    part = section.at("share")
    text = str(part.value) if "share" in section else ""
    match = SHARE.fullmatch(text)
    buckets = int(match[1]) * ONE_PERCENT + int((match[2] or "0").ljust(2, "0")) if match else 0
    if not buckets:
        problem = f"share: {text[:60]} is not a share" if text else f"{section.name} has no share"
        section.fault("share", problem, "Write a percentage with at most two decimals: share: 45%")
    return buckets


def _refuse_overlap(section: Section, experiment: Experiment, others: Mapping[str, Experiment]) -> None:
    for other in others.values():
        days = max(experiment.since, other.since), min(experiment.until, other.until)
        if other.surface == experiment.surface and days[0] <= days[1]:
            message = f"{other.name} is on {other.surface} in the same days, {_days(other)}"
            section.fault("surface", message, "A surface has one experiment at a time: change from or until of one")


def _days(experiment: Experiment) -> str:
    """
    >>> _days(Experiment("e", "s", (), until=date(2026, 12, 31)))
    'until 2026-12-31'
    """
    since = "" if experiment.since == date.min else f"from {experiment.since}"
    until = "" if experiment.until == date.max else f"until {experiment.until}"
    return " ".join(filter(None, (since, until))) or "always"
