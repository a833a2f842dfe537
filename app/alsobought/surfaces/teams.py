"""Check the two variants of an experiment that interleaves their lists."""

from __future__ import annotations

from collections.abc import Sequence

from alsobought.pipes.fallbacks import item_column
from alsobought.pipes.library import Library
from alsobought.surfaces.experiment import Variant
from alsobought.surfaces.sections import Section
from alsobought.surfaces.surface import Surface


def check_teams(section: Section, variants: Sequence[Variant], surface: Surface | None, library: Library) -> None:
    """Faults: not two variants that show something, unequal shares, guardrails, a pipe without items."""
    if len(variants) > 2 or any(variant.holdout for variant in variants):
        problem = f"{section.name} interleaves two lists: it takes two variants, and no holdout"
        section.fault("variants", problem, "Leave out the others, or interleave")
    elif len({variant.buckets for variant in variants}) > 1:
        problem = (
            f"the variants of {section.name} have different shares, and an interleaved list is filled by both alike"
        )
        section.fault("variants", problem, "Give both the same: their sum sees the interleaved list")
    if section.listed("guardrails"):
        problem = "every user sees both variants in one list: no guardrail can tell them apart"
        section.fault("guardrails", problem, "Leave them out, or interleave")
    for name in {variant.pipe or surface.pipe for variant in variants if surface}:
        if name in library.names() and (pipe := library.entry(name).pipe):
            names = [name for name, _ in pipe.columns]
            if not item_column([name for name in names if name != pipe.header.key]):
                section.fault("variants", f"{pipe.name} is no list of items to interleave", "Name another pipe")
