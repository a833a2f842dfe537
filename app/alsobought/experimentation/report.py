"""What an experiment shows so far, as one value: for people, for JSON, and for the monitor that stops variants. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

import msgspec

from alsobought.experimentation.confidence import Interval, Look, confidence_sequence
from alsobought.experimentation.estimates import Adjustment, adjustment, arm_of, lift
from alsobought.experimentation.planning import days_needed, detectable
from alsobought.experimentation.reading import ASKED, CROSSED, EXPOSED, Daily
from alsobought.experimentation.sample_ratio import BROKEN, sample_ratio_p_value
from alsobought.experimentation.stops import Change, Stop, stops_of
from alsobought.experimentation.sums import Sums
from alsobought.surfaces.experiment import Experiment, Variant
from alsobought.surfaces.metrics import METRICS, Metric

ALPHA = 0.05
MIN_UNITS, MIN_ACTIVE = 100, 20  # of each variant: with fewer, a mean is not yet normally distributed
DEFAULT_HORIZON = 28  # days, of an experiment without an end
MAX_HORIZON = 366
GUARDRAIL_HORIZON = 7  # days: harm is to be found soon
State = Literal["planned", "running", "ended"]
Verdict = Literal["collecting", "running", "wins", "loses", "no difference", "undecided", "stopped"]


class Point(msgspec.Struct, frozen=True):
    """The lift up to the end of a day: 0.05 is 5 %."""

    day: date
    lift: float
    low: float
    high: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a variant compared with another. `points` are empty while there are too few units.

    Levels are adjusted as the lift is. `confidence` is that of the interval on all days together. `reduction` is the share of the
    variance that CUPED takes away.
    `detectable` is the lift that would be found by now in four of five experiments; `days_left`, until `wanted` would be, or None
    for more than a year.
    """

    metric: str
    title: str
    level: float
    other_level: float
    confidence: float
    points: list[Point]
    reduction: float = 0.0
    detectable: float | None = None
    wanted: float = 0.0
    days_left: int | None = None

    @property
    def newest(self) -> Point | None:
        return self.points[-1] if self.points else None


class GuardrailResult(msgspec.Struct, frozen=True, kw_only=True):
    """`breached`: the whole interval is worse than `at_most_worse` allows."""

    at_most_worse: float
    comparison: Comparison
    breached: bool


class VariantResult(msgspec.Struct, frozen=True, kw_only=True):
    """`units` saw a list, `asked` asked for one. The control has no comparison."""

    name: str
    share: float
    holdout: bool
    units: int
    asked: int
    verdict: Verdict | None = None
    comparison: Comparison | None = None
    guardrails: list[GuardrailResult] = []
    stop: Stop | None = None


class SampleRatio(msgspec.Struct, frozen=True, kw_only=True):
    """Whether as many units came to each variant as planned, of those that saw a list or that asked for one."""

    population: str
    p_value: float
    broken: bool
    expected: dict[str, float]
    observed: dict[str, int]


class PreferencePoint(msgspec.Struct, frozen=True):
    """The share of the lists that the second variant won, of all that one of the two won, up to the end of a day."""

    day: date
    share: float
    low: float
    high: float


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """Of interleaved lists: how many were seen, had a vote and were won by either; without `points` too few units have voted.

    `one_sided` lists have items of one variant only, `unrecorded` ones are not in `requests`. `wanted` and `detectable` are how far
    from one half a preference is: 0.05 is 55 to 45; `days_left` is until `wanted` would be found, None for more than a year.
    """

    first: str
    second: str
    won_by_first: int
    won_by_second: int
    lists: int
    voted: int
    one_sided: int
    unrecorded: int
    units: int
    confidence: float
    points: list[PreferencePoint]
    wanted: float
    detectable: float | None = None
    days_left: int | None = None

    @property
    def newest(self) -> PreferencePoint | None:
        return self.points[-1] if self.points else None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`day` is the number of the day, from 1. `crossed` units saw two variants, and are left out.

    With a `preference` the lists are interleaved: variants have no comparison, and `units` are those that voted.
    """

    name: str
    surface: str
    unit: str
    metric: str
    state: State
    since: date
    until: date | None
    at: datetime
    day: int
    crossed: int
    variants: list[VariantResult]
    sample_ratios: list[SampleRatio]
    holdout: Comparison | None
    preference: Preference | None = None

    @property
    def is_split_broken(self) -> bool:
        return any(ratio.broken for ratio in self.sample_ratios)


def report_of(experiment: Experiment, daily: Daily, changes: Sequence[Change], now: datetime) -> Report:
    """Several variants share the risk of a false alarm (Bonferroni), and so do the guardrails of all variants.

    `changes` are the stops and resumptions. A variant that was stopped has fewer units than planned: that breaks no split.
    """
    own_changes = [change for change in changes if change.experiment == experiment.name]
    stops = {stop.variant: stop for stop in stops_of(own_changes)}
    interrupted = {change.variant for change in own_changes}
    control = experiment.variants[0]
    treated = [variant for variant in experiment.variants[1:] if not variant.holdout]
    holdouts = [variant for variant in experiment.variants if variant.holdout]
    state = state_of(experiment, now)
    compare = _Comparing(experiment, daily)
    results = [_without_comparison(experiment, daily, control)]
    for variant in treated:
        result, stop = _without_comparison(experiment, daily, variant), stops.get(variant.name)
        comparison = compare(EXPOSED, variant, control, experiment.metric, ALPHA / len(treated))
        alpha = ALPHA / (len(treated) * max(1, len(experiment.guardrails)))
        guardrails = [
            _guardrail(compare(EXPOSED, variant, control, one.metric, alpha, GUARDRAIL_HORIZON), one.at_most_worse)
            for one in experiment.guardrails
        ]
        verdict = "stopped" if stop else _verdict(comparison, state)
        results.append(
            msgspec.structs.replace(result, verdict=verdict, comparison=comparison, guardrails=guardrails, stop=stop)
        )
    results += [_without_comparison(experiment, daily, variant) for variant in holdouts]
    earned = None
    if holdouts and not METRICS[experiment.metric].shown:
        earned = compare(ASKED, control, holdouts[0], experiment.metric, ALPHA)
    ratios = [
        _sample_ratio(daily, population, compared)
        for population, variants in ((EXPOSED, [control, *treated]), (ASKED, experiment.variants if holdouts else []))
        if len(compared := [variant for variant in variants if variant.name not in interrupted]) > 1
    ]
    return Report(
        name=experiment.name,
        surface=experiment.surface,
        unit=experiment.unit,
        metric=experiment.metric,
        state=state,
        since=daily.begin,
        until=None if experiment.until == date.max else experiment.until,
        at=now,
        day=len(daily.days),
        crossed=int(daily.units(EXPOSED, CROSSED)),
        variants=results,
        sample_ratios=ratios,
        holdout=earned,
    )


class _Comparing:
    """Compares two variants of an experiment by a metric."""

    def __init__(self, experiment: Experiment, daily: Daily) -> None:
        self._experiment, self._daily = experiment, daily
        whole = (experiment.until - experiment.since).days + 1
        self._horizon = whole if whole <= MAX_HORIZON else DEFAULT_HORIZON

    def __call__(
        self, population: str, variant: Variant, other: Variant, name: str, alpha: float, horizon: int = MAX_HORIZON
    ) -> Comparison:
        """The sequence is narrow after `horizon` days, or at the end of a shorter experiment."""
        metric, wanted = METRICS[name], self._experiment.minimum_effect
        ours, theirs = (self._daily.of(population, one.name, name) for one in (variant, other))
        days, looks, adjusted = list[date](), list[Look](), Adjustment()
        for number, (day, one, two) in enumerate(zip(self._daily.days, ours, theirs, strict=True), 1):
            if not (_is_enough(one) and _is_enough(two)):
                continue
            adjusted = adjustment([one, two])
            if change := lift(arm_of(one, adjusted), arm_of(two, adjusted)):
                looks.append(Look(number, change.log_ratio, change.error, change.variance))
                days.append(day)
        sequence = list(confidence_sequence(looks, alpha, min(self._horizon, horizon)))
        comparison = Comparison(
            metric=name,
            title=title_of(metric, self._experiment.unit),
            level=ours[-1].ratio if ours else 0.0,
            other_level=theirs[-1].ratio if theirs else 0.0,
            confidence=1 - alpha,
            points=[_point(day, interval) for day, interval in zip(days, sequence, strict=True)],
        )
        if not sequence:
            return comparison
        return msgspec.structs.replace(
            comparison,
            level=arm_of(ours[-1], adjusted).level,
            other_level=arm_of(theirs[-1], adjusted).level,
            reduction=adjusted.reduction,
            detectable=math.expm1(detectable(sequence[-1], alpha)),
            wanted=wanted,
            days_left=days_needed(sequence, alpha, math.log1p(wanted)),
        )


def title_of(metric: Metric, unit: str) -> str:
    """The metric as a phrase, such as `revenue per user`."""
    return (
        f"{metric.title} per {unit}" if metric.name.endswith("_per_unit") else metric.title.replace("units", f"{unit}s")
    )


def _is_enough(sums: Sums) -> bool:
    return sums.units >= MIN_UNITS and sums.active >= MIN_ACTIVE


def _point(day: date, interval: Interval) -> Point:
    return Point(day, math.expm1(interval.estimate), math.expm1(interval.low), math.expm1(interval.high))


def _guardrail(comparison: Comparison, at_most_worse: float) -> GuardrailResult:
    newest = comparison.newest
    return GuardrailResult(
        at_most_worse=at_most_worse, comparison=comparison, breached=bool(newest and newest.high < -at_most_worse)
    )


def _verdict(comparison: Comparison, state: State) -> Verdict:
    newest = comparison.newest
    if newest and newest.low > 0:
        return "wins"
    if newest and newest.high < 0:
        return "loses"
    if newest and max(-newest.low, newest.high) <= comparison.wanted:
        return "no difference"
    if state == "ended":
        return "undecided"
    return "running" if newest else "collecting"


def state_of(experiment: Experiment, now: datetime) -> State:
    """How far an experiment is."""
    if experiment.is_running(now):
        return "running"
    return "planned" if now.date() < experiment.since else "ended"


def _without_comparison(experiment: Experiment, daily: Daily, variant: Variant) -> VariantResult:
    return VariantResult(
        name=variant.name,
        share=variant.buckets / sum(one.buckets for one in experiment.variants),
        holdout=variant.holdout,
        units=int(daily.units(EXPOSED, variant.name)),
        asked=int(daily.units(ASKED, variant.name)),
    )


def _sample_ratio(daily: Daily, population: str, variants: Sequence[Variant]) -> SampleRatio:
    buckets = sum(variant.buckets for variant in variants)
    shares = [variant.buckets / buckets for variant in variants]
    metric = next(iter(METRICS))
    counts = [[sums.units for sums in daily.of(population, variant.name, metric)] for variant in variants]
    looks = list(zip(*counts, strict=True))
    p_value = sample_ratio_p_value(looks, shares)
    newest = looks[-1] if looks else [0] * len(variants)
    return SampleRatio(
        population=population,
        p_value=p_value,
        broken=p_value < BROKEN,
        expected={variant.name: share for variant, share in zip(variants, shares, strict=True)},
        observed={variant.name: int(units) for variant, units in zip(variants, newest, strict=True)},
    )
