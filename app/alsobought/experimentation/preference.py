"""What interleaved lists show: how often each of the two variants wins a list, as an interval that holds on all days. Pure.

A list is a vote for the variant more of whose items were clicked, put into a cart or bought. Ties are no vote. Without a difference
both win half of the lists, since a coin decides who picks first. Units are what varies: lists of one unit may be alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from alsobought.experimentation.confidence import Interval, Look, confidence_sequence
from alsobought.experimentation.planning import days_needed, detectable
from alsobought.experimentation.report import (
    ALPHA,
    Preference,
    PreferencePoint,
    Report,
    State,
    VariantResult,
    Verdict,
    state_of,
)
from alsobought.experimentation.votes import DailyVotes, Votes
from alsobought.surfaces.experiment import Experiment

MIN_UNITS = 50  # that decided a list: with fewer, their sum is not yet normally distributed
HORIZON = 7  # days: a preference is to be found soon
ONE_HALF = 0.5


def preference_report(experiment: Experiment, daily: DailyVotes, now: datetime) -> Report:
    """The report of an experiment that interleaves. The second variant has the verdict."""
    state, preference = state_of(experiment, now), preference_of(experiment, daily)
    verdict = _verdict(preference, state)
    shares = [variant.buckets / sum(one.buckets for one in experiment.variants) for variant in experiment.variants]
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
        crossed=0,
        variants=[
            VariantResult(
                name=variant.name, share=share, holdout=False, units=preference.units, asked=0, verdict=own_verdict
            )
            for variant, share, own_verdict in zip(experiment.variants, shares, (None, verdict), strict=True)
        ],
        sample_ratios=[],
        holdout=None,
        preference=preference,
    )


def preference_of(experiment: Experiment, daily: DailyVotes) -> Preference:
    sequence = preference_sequence(list(enumerate(daily.votes, 1)))
    newest, wanted = daily.newest, experiment.minimum_effect
    won = newest.won
    preference = Preference(
        first=experiment.variants[0].name,
        second=experiment.variants[1].name,
        won_by_first=won[0],
        won_by_second=won[1],
        lists=int(newest.lists),
        voted=int(newest.voted),
        one_sided=int(newest.one_sided),
        unrecorded=int(newest.unrecorded),
        units=int(newest.units),
        confidence=1 - ALPHA,
        points=[_point(daily.days[int(one.days) - 1], one) for one in sequence],
        wanted=wanted,
    )
    if not sequence:
        return preference
    return _with_plan(preference, sequence)


def preference_sequence(looks: Sequence[tuple[float, Votes]], alpha: float = ALPHA) -> list[Interval]:
    """The interval of what the second variant wins less what the first one wins, as a share of both: from -1 to 1.

    `looks` are days and the votes by then. The error takes the sum of squares about 0, not about the mean: it is right where
    there is no preference, a little too large for a strong one, and never 0.
    """
    return list(
        confidence_sequence(
            (
                Look(day, votes.y / votes.z, math.sqrt(votes.yy) / votes.z, votes.yy)
                for day, votes in looks
                if votes.units >= MIN_UNITS and votes.z > 0 and votes.yy > 0
            ),
            alpha,
            HORIZON,
        )
    )


def _with_plan(preference: Preference, sequence: Sequence[Interval]) -> Preference:
    return msgspec.structs.replace(
        preference,
        detectable=min(ONE_HALF, detectable(sequence[-1], ALPHA) / 2),
        days_left=days_needed(sequence, ALPHA, 2 * preference.wanted),
    )


def _point(day: date, interval: Interval) -> PreferencePoint:
    share, low, high = (
        min(1.0, max(0.0, ONE_HALF + bound / 2)) for bound in (interval.estimate, interval.low, interval.high)
    )
    return PreferencePoint(day, share, low, high)


def _verdict(preference: Preference, state: State) -> Verdict:
    newest = preference.newest
    if newest and newest.low > ONE_HALF:
        return "wins"
    if newest and newest.high < ONE_HALF:
        return "loses"
    if newest and max(ONE_HALF - newest.low, newest.high - ONE_HALF) <= preference.wanted:
        return "no difference"
    if state == "ended":
        return "undecided"
    return "running" if newest else "collecting"
