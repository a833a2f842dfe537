"""A report in sentences: what it shows, and what to do."""

from __future__ import annotations

from alsobought.experimentation.preference_words import preference_advice, preference_facts, preference_headline
from alsobought.experimentation.report import (
    MIN_ACTIVE,
    MIN_UNITS,
    Comparison,
    GuardrailResult,
    Point,
    Report,
    SampleRatio,
    VariantResult,
)
from alsobought.experimentation.wording import percent, signed


def headline(report: Report) -> str:
    """The decision in a sentence or two."""
    if report.state == "planned":
        return f"It begins on {report.since}."
    if report.preference:
        return preference_headline(report, report.preference)
    if report.is_split_broken:
        return "The split is broken: units did not come to the variants as planned. Do not trust the numbers below."
    treated = [variant for variant in report.variants if variant.verdict]
    if not treated:
        return holdout_sentence(report)
    if not any(variant.units for variant in report.variants):
        return "Nobody has seen a list of this experiment yet."
    return " ".join(variant_sentence(report, variant) for variant in treated)


def variant_sentence(report: Report, variant: VariantResult) -> str:
    """What is known about a variant, compared with the control."""
    comparison = variant.comparison
    if variant.stop:
        return f"{variant.name} was stopped on {variant.stop.at:%Y-%m-%d at %H:%M} UTC: {variant.stop.reason}."
    newest = comparison.newest if comparison else None
    if comparison is None or newest is None:
        return (
            f"{variant.name}: too little is known yet; {MIN_UNITS} {report.unit}s in each variant are needed,"
            f" and {MIN_ACTIVE} of them with a {'click' if report.metric == 'click_through_rate' else 'result'}."
        )
    return _verdict_sentence(variant, comparison, newest)


def advice(report: Report) -> str:
    """What to do now."""
    if report.state == "planned":
        return "Wait."
    if report.preference:
        return preference_advice(report, report.preference)
    return _advice_on_a_split(report)


def _advice_on_a_split(report: Report) -> str:
    if report.is_split_broken:
        return (
            "Find the cause first: lists of one variant that are shown without an event, a page that fails, robots, or shares that"
            " were changed while it ran. Then start again under another name."
        )
    verdicts = {variant.verdict: variant.name for variant in report.variants if variant.verdict}
    if "wins" in verdicts:
        return (
            f"Give the surface what {verdicts['wins']} has, in sql/surfaces.yaml, and end the experiment with `until`."
        )
    if verdicts.keys() & {"running", "collecting"}:
        return "Keep running. You may look at it every day: the intervals allow for that."
    if report.state == "ended" and "undecided" in verdicts:
        return "Keep the control, or run it again for longer, with a larger share, or with a larger minimum_effect."
    return "Keep the control, and end the experiment with `until`." if verdicts else "Keep running."


def holdout_sentence(report: Report) -> str:
    """What recommendations on the surface earn, compared with none."""
    if not (earned := report.holdout):
        return ""
    if not (newest := earned.newest):
        return f"What recommendations on {report.surface} earn is not known yet: too few {report.unit}s asked for it."
    gain = f"{signed(newest.lift)} {earned.title} ({interval(earned)}) compared with showing nothing"
    if newest.low > 0:
        return f"Recommendations on {report.surface} earn {gain}."
    if newest.high < 0:
        return f"Recommendations on {report.surface} cost: {gain}."
    return f"Recommendations on {report.surface} may earn something or nothing: {gain}."


def guardrail_sentence(result: GuardrailResult) -> str:
    comparison = result.comparison
    allowed = f"at most {percent(result.at_most_worse)} worse"
    if not comparison.newest:
        return f"{comparison.title}: not known yet; {allowed}"
    state = "breached" if result.breached else "kept" if comparison.newest.low >= -result.at_most_worse else "open"
    return f"{comparison.title}: {state}, {signed(comparison.newest.lift)} ({interval(comparison)}); {allowed}"


def stop_reason(result: GuardrailResult) -> str:
    """Why a variant was stopped."""
    comparison = result.comparison
    return f"{comparison.title} {interval(comparison)}, and at most {percent(result.at_most_worse)} worse is allowed"


def ratio_sentence(ratio: SampleRatio) -> str:
    who = "who saw a list" if ratio.population == "exposed" else "who asked for one"
    counts = ", ".join(
        f"{name} {units:,} ({percent(ratio.expected[name])} planned)" for name, units in ratio.observed.items()
    )
    return f"{'broken' if ratio.broken else 'as planned'}, of those {who}: {counts}; p = {ratio.p_value:.3g}"


def days_left(comparison: Comparison) -> str:
    if comparison.days_left is None:
        return (
            f"more than a year until {percent(comparison.wanted)} would be found: take a larger share or minimum_effect"
        )
    if not comparison.days_left:
        return f"although {percent(comparison.wanted)} would probably have been found by now"
    return f"about {comparison.days_left} more day{'s' * (comparison.days_left != 1)}"


def interval(comparison: Comparison) -> str:
    newest = comparison.newest
    return f"{signed(newest.low)} to {signed(newest.high)}" if newest else "not known"


COLUMNS = ("variant", "share", "units", "level", "lift", "always-valid interval", "state")


def variant_rows(report: Report) -> list[tuple[str, ...]]:
    """A row per variant, under COLUMNS; none for interleaved lists, whose variants are not compared by units."""
    return [] if report.preference else [_variant_row(report, variant) for variant in report.variants]


def facts(report: Report) -> list[tuple[str, str]]:
    """Everything else that is known, as pairs of a name and a text."""
    until = f" until {report.until}" if report.until else ""
    pairs = [("surface", report.surface), ("runs", f"since {report.since}{until}; {report.state}, day {report.day}")]
    if report.preference:
        return [*pairs, *preference_facts(report, report.preference)]
    for variant in report.variants:
        pairs += [(f"guardrail of {variant.name}", guardrail_sentence(result)) for result in variant.guardrails]
        comparison = variant.comparison
        if comparison and comparison.newest and comparison.detectable is not None:
            power = f"a lift of {percent(comparison.detectable)} would be found by now in four of five experiments"
            pairs.append((f"precision of {variant.name}", f"{power}; wanted: {percent(comparison.wanted)}"))
            reduction = f"the days before exposure explain {percent(comparison.reduction)} of the variance"
            pairs.append((f"CUPED of {variant.name}", reduction))
    pairs += [("sample ratio", ratio_sentence(ratio)) for ratio in report.sample_ratios]
    if report.crossed:
        pairs.append(("left out", f"{report.crossed:,} {report.unit}s that saw two variants"))
    if sentence := holdout_sentence(report):
        pairs.append(("holdout", sentence))
    treated = sum(variant.comparison is not None for variant in report.variants)
    if treated > 1:
        pairs.append(("intervals", f"95 % for all {treated} variants together (Bonferroni)"))
    return pairs


def as_markdown(report: Report) -> str:
    """The report for a pull request or a chat."""
    lines = [f"## {report.name}", "", headline(report), "", advice(report), ""]
    if rows := variant_rows(report):
        lines += [f"| {' | '.join(COLUMNS)} |", "|---|--:|--:|--:|--:|---|---|"]
        lines += [*(f"| {' | '.join(row)} |" for row in rows), ""]
    lines += [*(f"* **{name}**: {text}" for name, text in facts(report))]
    return "\n".join(lines) + "\n"


def _variant_row(report: Report, variant: VariantResult) -> tuple[str, ...]:
    comparison = variant.comparison
    newest = comparison.newest if comparison else None
    level = comparison.level if comparison else _level_of_control(report, variant)
    units = f"{variant.asked:,} asked" if variant.holdout else f"{variant.units:,}"
    state = variant.verdict or ("holdout" if variant.holdout else "control")
    lift, band = (signed(newest.lift), interval(comparison)) if comparison and newest else ("", "")
    return variant.name, percent(variant.share), units, "" if level is None else f"{level:,.4g}", lift, band, state


def _level_of_control(report: Report, variant: VariantResult) -> float | None:
    if variant.holdout:
        return report.holdout.other_level if report.holdout else None
    return next((one.comparison.other_level for one in report.variants if one.comparison), None)


def _verdict_sentence(variant: VariantResult, comparison: Comparison, newest: Point) -> str:
    lift = f"{signed(newest.lift)} {comparison.title} ({interval(comparison)})"
    match variant.verdict:
        case "wins":
            return f"{variant.name} wins: {lift}."
        case "loses":
            return f"{variant.name} loses: {lift}."
        case "no difference":
            bound = percent(max(-newest.low, newest.high))
            return f"{variant.name} makes no difference larger than {bound} in {comparison.title}."
        case "undecided":
            return f"{variant.name} is undecided: the experiment ended with {lift}."
    return f"{variant.name}: keep running, {days_left(comparison)}; so far {lift}."
