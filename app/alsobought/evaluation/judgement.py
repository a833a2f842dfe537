"""Compare what a shop reports with what is true of its simulation: a claim for each number, and a verdict for each claim.

What the shop counts must be exact, since no event is lost or counted twice. What it estimates has an interval of 95 %, which should
hold the truth; one in twenty does not, by chance, so that a claim is violated only beyond the interval of 99.9 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from alsobought.demo.simulator.front_door import FrontDoor
from alsobought.demo.simulator.truth import Truth, revenue
from alsobought.demo.simulator.visit import BELOW
from alsobought.evaluation.simulated_shop import CONTROL, HOLDOUT_EXPERIMENT, RIVAL, VARIANT_EXPERIMENT

Verdict = Literal["exact", "within", "by chance", "agrees", "undecided", "violated", ""]
CENT = 0.011  # reports are rounded to cents
WIDER = 3.2905 / 1.9600  # of an interval of 99.9 %, compared with one of 95 %


@dataclass(frozen=True)
class Claim:
    """`reported` is None where the shop makes no statement; `where` is a surface, a variant or an experiment."""

    what: str
    where: str
    true: float | str
    reported: float | str | None
    verdict: Verdict
    low: float | None = None
    high: float | None = None

    @property
    def difference(self) -> float | None:
        numbers = [one for one in (self.reported, self.true) if isinstance(one, (int, float))]
        return numbers[0] - numbers[1] if len(numbers) == 2 else None


def judge(truth: Truth, door: FrontDoor, since: datetime, until: datetime) -> list[Claim]:
    """The claims about the time between these two."""
    period = {"since": since.isoformat(), "until": until.isoformat()}
    by_surface = _report(door, "surface", period)
    claims = [claim for surface in truth.surfaces for claim in _surface_claims(truth, surface, by_surface.get(surface))]
    claims += _variant_claims(truth, door, period)
    claims += _experiment_claims(truth, door)
    return [*claims, *_overclaims(truth, by_surface)]


def violated(claims: Sequence[Claim]) -> list[Claim]:
    return [claim for claim in claims if claim.verdict == "violated"]


def exact(what: str, where: str, true: float, reported: float | None, tolerance: float = 1e-9) -> Claim:
    """
    >>> exact("clicks", "cart", 3, 4).verdict
    'violated'
    """
    is_equal = reported is not None and abs(true - reported) <= tolerance
    return Claim(what, where, true, reported, "exact" if is_equal else "violated")


def estimated(what: str, where: str, true: float, reported: float, low: float, high: float) -> Claim:
    """
    >>> [estimated("rate", "cart", true, 0.5, 0.4, 0.6).verdict for true in (0.45, 0.39, 0.1)]
    ['within', 'by chance', 'violated']
    """
    wide_low, wide_high = reported - WIDER * (reported - low), reported + WIDER * (high - reported)
    verdict: Verdict = "violated"
    if low <= true <= high:
        verdict = "within"
    elif wide_low <= true <= wide_high:
        verdict = "by chance"
    return Claim(what, where, true, reported, verdict, low, high)


def _report(door: FrontDoor, by: str, period: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """The rows of recommendation_metrics, by their value."""
    query = urlencode({"by": by, **period, "limit": 1000, "fresh": "true"})
    return {row["value"]: row for row in door.get(f"/pipes/recommendation_metrics?{query}")["data"]}


def _surface_claims(truth: Truth, surface: str, row: Mapping[str, Any] | None) -> Iterator[Claim]:
    """An item of a list counts as put into the cart or bought once, however often it was; its revenue counts whole."""
    got: Mapping[str, Any] = row or {}
    attributed = truth.attributed(surface)
    carts, bought = set(truth.placed(truth.carts, surface)), {one.came_by for one in attributed}
    yield exact("impressions", surface, len(truth.placed(truth.impressions, surface)), got.get("impressions"))
    yield exact("clicks", surface, len(truth.placed(truth.clicks, surface)), got.get("clicks"))
    yield exact("carts", surface, len(carts), got.get("add_to_carts"))
    yield exact("purchases", surface, len(bought), got.get("purchases"))
    yield exact("revenue", surface, round(revenue(attributed), 2), got.get("revenue"), CENT)
    viewed = round(revenue(truth.attributed(surface, viewed=True)), 2)
    yield exact("revenue, view-through", surface, viewed, got.get("view_through_revenue"), CENT)
    if row:
        yield _rate(truth, surface, None, surface, row)


def _rate(truth: Truth, surface: str, variant: str | None, where: str, row: Mapping[str, Any]) -> Claim:
    name = "click_through_rate"
    rates = (row[one] for one in (name, f"{name}_low", f"{name}_high"))
    return estimated("click-through rate", where, truth.click_rate(surface, variant), *rates)


def _variant_claims(truth: Truth, door: FrontDoor, period: Mapping[str, str]) -> Iterator[Claim]:
    rows = _report(door, "variant", {**period, "surface": BELOW})
    for variant in truth.variants(BELOW):
        where = f"{VARIANT_EXPERIMENT}/{variant}"
        shown, clicked = (len(truth.placed(links, BELOW, variant)) for links in (truth.impressions, truth.clicks))
        row = rows.get(where, {})
        yield exact("impressions", where, shown, row.get("impressions"))
        yield exact("clicks", where, clicked, row.get("clicks"))
        if row:
            yield _rate(truth, BELOW, variant, where, row)


def _experiment_claims(truth: Truth, door: FrontDoor) -> Iterator[Claim]:
    variants = door.get(f"/workbench/experiments/{VARIANT_EXPERIMENT}")["variants"]
    outcome = next(variant["verdict"] for variant in variants if variant["name"] == RIVAL)
    better = max((RIVAL, CONTROL), key=lambda variant: truth.click_rate(BELOW, variant))
    winner = {"wins": RIVAL, "loses": CONTROL}.get(outcome)
    verdict: Verdict = "undecided" if winner is None else "agrees" if winner == better else "violated"
    yield Claim("better variant", VARIANT_EXPERIMENT, better, winner or outcome, verdict)
    holdout = door.get(f"/workbench/experiments/{HOLDOUT_EXPERIMENT}")["holdout"]
    points, lift = holdout["points"] if holdout else [], truth.lift(CONTROL)
    what = "lift over the holdout"
    if not points:
        yield Claim(what, HOLDOUT_EXPERIMENT, lift, None, "undecided")
    else:
        newest = points[-1]
        yield estimated(what, HOLDOUT_EXPERIMENT, lift, newest["lift"], newest["low"], newest["high"])


def _overclaims(truth: Truth, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[Claim]:
    """What attribution credits to lists beside what they caused: no error of the shop, but of whoever takes one for the other."""
    reported = sum(row["revenue"] for row in rows.values())
    yield Claim(
        "revenue because of lists",
        "all",
        round(sum(one.spent for one in truth.outcomes.values()) - truth.spent_without_lists, 2),
        round(reported, 2),
        "",
    )
    caused = [one for one in truth.purchases if one.caused and not one.refunded]
    yield Claim(
        "purchases because of lists", "all", len(caused), round(sum(row["purchases"] for row in rows.values()), 2), ""
    )
