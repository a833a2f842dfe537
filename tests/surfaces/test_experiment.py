"""Who is in which variant: shares are kept, salts are independent, and nothing is drawn again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TypeVar

from alsobought.surfaces.draw import Draw, Experiments, Layout, Units
from alsobought.surfaces.experiment import Experiment, Variant, bucket_of
from alsobought.surfaces.surface import Surface

T = TypeVar("T")
IDS = [f"user-{number}" for number in range(100_000)]
NOW = datetime(2026, 12, 5, 12, tzinfo=UTC)
VARIANTS = (Variant("control", 4500), Variant("ranked", 4500, pipe="ranked"), Variant("nothing", 500, holdout=True))
BOTTOM = Surface("bottom", "also_bought")


def chi_square(counts: Mapping[T, int], expected: Mapping[T, float]) -> float:
    return sum((counts.get(key, 0) - count) ** 2 / count for key, count in expected.items())


def test_shares_are_kept_and_two_experiments_are_independent() -> None:
    """Limits: a chi-square above them has a probability of 1 in 10,000, and the ids are fixed."""
    buckets = Counter(bucket_of("e", unit) // 100 for unit in IDS)
    assert chi_square(buckets, dict.fromkeys(range(100), 1000)) < 160  # 99 degrees of freedom
    first, second = (Experiment(name, "bottom", VARIANTS) for name in ("first", "second"))
    drawn = [(first.variant_of(unit), second.variant_of(unit)) for unit in IDS]
    names = Counter((one.name if one else "", other.name if other else "") for one, other in drawn)
    shares = {"control": 0.45, "ranked": 0.45, "nothing": 0.05, "": 0.05}
    together = {(one, other): shares[one] * shares[other] * len(IDS) for one in shares for other in shares}
    assert chi_square(names, together) < 44  # 15 degrees of freedom


def test_a_salt_draws_anew_and_a_name_without_one_is_the_salt() -> None:
    plain, same, other = (
        Experiment(name, "bottom", VARIANTS, salt=salt) for name, salt in (("e", ""), ("f", "e"), ("e", "x"))
    )
    some = IDS[:200]
    assert [plain.variant_of(unit) for unit in some] == [same.variant_of(unit) for unit in some]
    assert [plain.variant_of(unit) for unit in some] != [other.variant_of(unit) for unit in some]


def draw(units: Units, at: datetime = NOW, stopped: str = "", **settings: object) -> Draw:
    experiment = Experiment("e", "bottom", (Variant("control", 5000), Variant("ranked", 5000)), **settings)  # type: ignore[arg-type]
    experiments = Experiments({"e": experiment}, lambda _, variant: variant == stopped)
    drawn = Layout({"bottom": BOTTOM}, experiments).draw("bottom", units, at)
    assert drawn
    return drawn


def test_a_user_is_drawn_by_its_id_a_guest_by_its_session_and_nobody_is_in_no_experiment() -> None:
    ada, guest = draw(Units("ada", "s1")), draw(Units("", "s1"))
    assert (ada.unit, ada.variant, guest.unit) == ("ada", draw(Units("ada", "s2")).variant, "s1")
    assert draw(Units("ada", "s1"), unit="session").unit == "s1"
    assert draw(Units("ada"), unit="session") == Draw(BOTTOM, Units("ada"))
    assert draw(Units()) == Draw(BOTTOM)


def test_it_runs_from_its_first_to_its_last_day() -> None:
    days = [datetime(2026, 12, day, 23, 59, tzinfo=UTC) for day in (1, 2, 3, 4)]
    since, until = date(2026, 12, 2), date(2026, 12, 3)
    assert [bool(draw(Units("ada"), day, since=since, until=until).variant) for day in days] == [
        False,
        True,
        True,
        False,
    ]


def test_a_unit_of_a_stopped_variant_gets_the_surface_outside_the_experiment() -> None:
    ranked = next(unit for unit in IDS if draw(Units(unit)).placement("v").variant == "ranked")
    control = next(unit for unit in IDS if draw(Units(unit)).placement("v").variant == "control")
    assert draw(Units(ranked), stopped="ranked") == Draw(BOTTOM, Units(ranked))
    assert draw(Units(control), stopped="ranked").unit == control
