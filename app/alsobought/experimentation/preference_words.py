"""The report of interleaved lists in sentences: who wins, and what to do."""

from __future__ import annotations

from datetime import date

from alsobought.experimentation.preference import MIN_UNITS
from alsobought.experimentation.report import Preference, Report
from alsobought.experimentation.wording import percent

VOTES = {"clicks": "clicked", "carts": "put into the cart", "purchases": "bought"}
NOT_RECORDED = "No list is recorded, so nobody knows whose items they were: set ALSOBOUGHT_RECORD_REQUESTS=true."


def preference_headline(report: Report, preference: Preference) -> str:
    """The decision in a sentence or two."""
    if not (newest := preference.newest):
        return _not_known(report, preference)
    second, share = preference.second, f"{percent(newest.share)} of the decided lists ({share_interval(preference)})"
    match report.variants[1].verdict:
        case "wins":
            return f"{second} wins: {report.unit}s prefer it to {preference.first}. It won {share}."
        case "loses":
            return f"{second} loses: {report.unit}s prefer {preference.first}. {second} won {share}."
        case "no difference":
            return f"{report.unit.capitalize()}s prefer neither: {second} won {share}."
        case "undecided":
            return f"{second} is undecided: the experiment ended when it had won {share}."
    return f"{second}: keep running, {_days_left(preference)}; so far it won {share}."


def _not_known(report: Report, preference: Preference) -> str:
    if not preference.lists:
        return "Nobody has seen a list of this experiment yet."
    if preference.unrecorded == preference.lists:
        return NOT_RECORDED
    return (
        f"Too little is known yet: {MIN_UNITS} {report.unit}s with a list that was decided are needed,"
        f" and there are {preference.units}."
    )


def preference_advice(report: Report, preference: Preference) -> str:
    """What to do now."""
    match report.variants[1].verdict:
        case "wins":
            return (
                f"Give the surface what {preference.second} has, in sql/surfaces.yaml, and end the experiment with `until`."
                " This says which list is better, not what it earns: a run without `interleave` does."
            )
        case "loses":
            return f"Keep {preference.first}, and end the experiment with `until`."
        case "no difference":
            return "Choose by something else, such as speed, and end the experiment with `until`."
        case "undecided":
            return f"Keep {preference.first}, or run it again for longer or with larger shares."
    return "Keep running. You may look at it every day: the interval allows for that."


def preference_facts(report: Report, preference: Preference) -> list[tuple[str, str]]:
    """What else is known, as pairs of a name and a text."""
    first, second = preference.won_by_first, preference.won_by_second
    verb = VOTES.get(report.metric, report.metric)
    won = f"{preference.second} {second:,}, {preference.first} {first:,}, by {preference.units:,} {report.unit}s"
    pairs = [
        ("lists", f"{preference.lists:,} seen; in {preference.voted:,} something was {verb}"),
        ("won", f"{won}; {preference.voted - first - second:,} were even, and count for neither"),
    ]
    if preference.detectable is not None:
        power = f"{percent(0.5 + preference.detectable)} would be found by now in four of five experiments"
        pairs.append(("precision", f"{power}; wanted: {percent(0.5 + preference.wanted)}"))
    if preference.one_sided:
        pairs.append(
            ("one variant", f"{preference.one_sided:,} lists have items of one variant only: they have no vote")
        )
    if preference.unrecorded:
        pairs.append(
            ("not recorded", f"{preference.unrecorded:,} lists are not in the table requests: they have no vote")
        )
    return pairs


def share_interval(preference: Preference) -> str:
    newest = preference.newest
    return f"{percent(newest.low)} to {percent(newest.high)}" if newest else "not known"


def preference_points(preference: Preference) -> list[dict[str, float | date]]:
    """The points of a picture, as what the share is above or below one half."""
    return [
        {"day": one.day, "lift": one.share - 0.5, "low": one.low - 0.5, "high": one.high - 0.5}
        for one in preference.points
    ]


def _days_left(preference: Preference) -> str:
    wanted = f"a preference of {percent(0.5 + preference.wanted)}"
    if preference.days_left is None:
        return f"more than a year until {wanted} would be found: take larger shares or a larger minimum_effect"
    if not preference.days_left:
        return f"although {wanted} would probably have been found by now"
    return f"about {preference.days_left} more day{'s' * (preference.days_left != 1)}"
