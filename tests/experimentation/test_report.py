"""The report of an experiment, from sums: verdicts, guardrails, the split, and the sentences about them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest

from alsobought.experimentation.reading import ASKED, CROSSED, EXPOSED, Daily, Key
from alsobought.experimentation.report import Report, report_of
from alsobought.experimentation.stops import Change
from alsobought.experimentation.sums import Sums
from alsobought.experimentation.wording import percent
from alsobought.experimentation.words import advice, as_markdown, headline, holdout_sentence, ratio_sentence
from alsobought.surfaces.experiment import Experiment, Guardrail, Variant
from alsobought.surfaces.metrics import METRICS

BEGIN = date(2026, 12, 1)
DAYS = 14
NOW = datetime(2026, 12, DAYS, 12, tzinfo=UTC)
CONTROL, NEW, NOTHING = Variant("control", 4500), Variant("new", 4500), Variant("nothing", 1000, holdout=True)
SPREAD = 3.0  # standard deviation over mean


def experiment(*variants: Variant, **fields: object) -> Experiment:
    variants = variants or (CONTROL, NEW)
    return Experiment("ranked", "cart", variants, since=BEGIN, until=date(2026, 12, 28), **fields)  # type: ignore[arg-type]


def sums(units: float, mean: float) -> Sums:
    squares = units * mean**2 * (1 + SPREAD**2)
    return Sums(units, units / 4, units * mean, squares, units, units, units * mean)


def daily(levels: Mapping[str, float], units: Mapping[str, float], population: str = EXPOSED) -> Daily:
    """Levels of the metrics by variant: so many units come to each every day."""
    days = tuple(BEGIN + timedelta(days=number) for number in range(DAYS))
    found: dict[Key, tuple[Sums, ...]] = {
        (population, variant, metric): tuple(sums(units[variant] * (number + 1), mean) for number in range(DAYS))
        for variant, mean in levels.items()
        for metric in METRICS
    }
    return Daily(BEGIN, days, found)


def report(
    levels: Mapping[str, float], per_day: float = 5000, what: Experiment | None = None, *changes: Change
) -> Report:
    return report_of(what or experiment(), daily(levels, dict.fromkeys(levels, per_day)), changes, NOW)


def test_a_variant_wins_loses_or_makes_no_difference() -> None:
    wins = report({"control": 10, "new": 11})
    assert headline(wins) == "new wins: +10 % revenue per user (+3.5 % to +17 %)."
    assert advice(wins).startswith("Give the surface what new has")
    assert "| new | 50 % | 70,000 | 11 | +10 % | +3.5 % to +17 % | wins |" in as_markdown(wins)
    assert headline(report({"control": 10, "new": 9})).startswith("new loses: -10 % revenue per user")
    equal = report({"control": 10, "new": 10}, 20_000)
    assert headline(equal) == "new makes no difference larger than 3.1 % in revenue per user."


def test_an_experiment_says_how_many_more_days_it_needs() -> None:
    running = report({"control": 10, "new": 10.1}, 1000)
    comparison = running.variants[1].comparison
    assert comparison
    assert comparison.days_left
    assert comparison.detectable
    assert comparison.detectable > comparison.wanted == 0.05
    assert f"keep running, about {comparison.days_left} more days" in headline(running)
    assert "too little is known yet" in headline(report({"control": 10, "new": 10}, 3))
    assert "more than a year" in headline(report({"control": 10, "new": 10}, 20))


def test_an_experiment_that_ended_without_a_decision_says_so() -> None:
    ended = Experiment("ranked", "cart", (CONTROL, NEW), since=BEGIN, until=date(2026, 12, 13))
    assert "undecided: the experiment ended" in headline(report({"control": 10, "new": 10}, 500, ended))
    planned = Experiment("ranked", "cart", (CONTROL, NEW), since=date(2027, 1, 1))
    assert headline(report_of(planned, Daily(planned.since), [], NOW)) == "It begins on 2027-01-01."


def test_several_variants_share_the_risk_of_a_false_alarm() -> None:
    levels = {"control": 10.0, "new": 11.0, "other": 10.0}
    three = report(levels, 5000, experiment(CONTROL, NEW, Variant("other", 1000)))
    assert [one.comparison.confidence for one in three.variants if one.comparison] == [0.975, 0.975]


def test_a_guardrail_is_breached_when_its_whole_interval_is_beyond_the_margin() -> None:
    guarded = experiment(guardrails=(Guardrail("conversion_rate", 0.05),))
    breached = {
        level: report({"control": 10, "new": level}, 5000, guarded).variants[1].guardrails[0] for level in (9.4, 8.5)
    }
    assert {level: one.breached for level, one in breached.items()} == {9.4: False, 8.5: True}


def test_a_broken_split_is_found_and_nothing_else_is_said() -> None:
    broken = report_of(experiment(), daily({"control": 10, "new": 12}, {"control": 1000, "new": 900}), [], NOW)
    assert headline(broken).startswith("The split is broken")
    assert ratio_sentence(broken.sample_ratios[0]).startswith(
        "broken, of those who saw a list: control 14,000 (50 % planned)"
    )
    assert not report({"control": 10, "new": 12}).is_split_broken


def test_a_stopped_variant_breaks_no_split() -> None:
    stop = Change("ranked", "new", NOW - timedelta(days=3), True, "clicks fell")
    stopped = report_of(experiment(), daily({"control": 10, "new": 9}, {"control": 1000, "new": 700}), [stop], NOW)
    assert not stopped.sample_ratios
    assert headline(stopped) == "new was stopped on 2026-12-11 at 12:00 UTC: clicks fell."
    resumed = Change("ranked", "new", NOW, False, "")
    again = report_of(
        experiment(), daily({"control": 10, "new": 9}, {"control": 1000, "new": 700}), [stop, resumed], NOW
    )
    assert again.variants[1].stop is None


def test_a_holdout_shows_what_recommendations_earn() -> None:
    with_holdout = experiment(CONTROL, NEW, NOTHING)
    asked = daily({"control": 11, "new": 11, "nothing": 10}, {"control": 9000, "new": 9000, "nothing": 2000}, ASKED)
    earned = report_of(with_holdout, asked, [], NOW)
    assert holdout_sentence(earned).startswith("Recommendations on cart earn +10 % revenue per user (+")
    assert earned.variants[2].asked == 2000 * DAYS
    crossed = Daily(BEGIN, asked.days, {(EXPOSED, CROSSED, "revenue_per_unit"): (Sums(), Sums(units=7))})
    assert report_of(with_holdout, crossed, [], NOW).crossed == 7


@pytest.mark.parametrize(("share", "text"), [(0.0004, "0.04 %"), (0.031, "3.1 %"), (-0.12, "-12 %"), (0.5, "50 %")])
def test_percentages_are_short(share: float, text: str) -> None:
    assert percent(share) == text
