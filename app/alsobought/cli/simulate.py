"""`alsobought simulate`: simulated shoppers, and whether the reports of the shop are true of them."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from alsobought.console import err, escaped, out, print_json, progress_bar
from alsobought.errors import Unusable
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.demo.simulator.truth import Truth
    from alsobought.evaluation.judgement import Claim

COLOURS = {"violated": "red", "by chance": "yellow", "undecided": "yellow"}


@click.command()
@click.option("--shoppers", type=click.IntRange(1, 100_000), default=300, show_default=True, help="How many come.")
@click.option(
    "--days", type=click.IntRange(1, 365), default=14, show_default=True, help="Days of the shop, until today."
)
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed gives the same shoppers.")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="A new folder in which the shop is kept, to be served. [default: it is kept in memory, and gone afterwards]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def simulate(settings: Settings, shoppers: int, days: int, seed: int, into: Path | None, as_json: bool) -> None:
    """Let simulated shoppers use a fresh shop of this project, and compare its reports with the truth.

    They ask for lists and send events as pages do, over days of simulated time. What they clicked, bought, and would have bought
    without lists is known, so each number of the reports is checked. Exit status 1 if one is wrong.

    \b
    Example: alsobought simulate --shoppers 300 --days 14
    """
    from alsobought.demo.simulator.shopper import WARM_UP_DAYS
    from alsobought.demo.simulator.simulation import Plan, Simulation
    from alsobought.evaluation.judgement import judge, violated
    from alsobought.evaluation.simulated_shop import simulated_shop

    if into and into.exists():
        raise Unusable(f"{into} exists", "Name a folder that does not: the shop is made in it")
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = end - timedelta(days=days)
    began = time.process_time()
    with simulated_shop(settings.home_folder, start, into) as shop:
        plan = Plan(seed, shoppers, days, start)
        simulation = Simulation(shop.door, shop.clock, plan, shop.time_has_passed)
        with progress_bar(err, "Shopping", days + WARM_UP_DAYS, "days") as advance:
            truth = simulation.run(advance)
        claims = judge(truth, shop.door, start, end)
    whole = time.process_time() - began
    if as_json:
        names = ("lists", "events", "repeated", "forged", "expired", "merges")
        counts = {name: getattr(truth, name) for name in names}
        seconds = {"shop": round(shop.door.seconds, 1), "all": round(whole, 1)}
        run = {"seed": seed, "shoppers": shoppers, "days": days, "counts": counts, "cpu_seconds": seconds}
        print_json({**run, "claims": claims})
    else:
        _print(truth, claims)
        err.print(
            f"CPU: {whole:.0f} s, of which {shop.door.seconds / whole:.0%} in the shop and the rest in the simulation."
        )
        if into:
            place = escaped(str(into))
            out.print(
                f"\nThe shop: ALSOBOUGHT_HOME={place} ALSOBOUGHT_DATA={place}/data alsobought serve", soft_wrap=True
            )
    if violated(claims):
        sys.exit(1)


def _print(truth: Truth, claims: list[Claim]) -> None:
    from alsobought.evaluation.judgement import violated

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("", "of"):
        table.add_column(title)
    for title in ("true", "reported", "difference", "interval"):
        table.add_column(title, justify="right")
    table.add_column("verdict")
    for claim in claims:
        colour = COLOURS.get(claim.verdict, "green")
        interval = f"{_text(claim.low)} … {_text(claim.high)}" if claim.low is not None else ""
        numbers = (
            _text(claim.true),
            _text(claim.reported),
            _text(claim.difference) if claim.difference else "",
            interval,
        )
        table.add_row(claim.what, escaped(claim.where), *numbers, f"[{colour}]{claim.verdict}[/]")
    out.print(table)
    out.print(
        f"\n{truth.lists:,} lists, {truth.events:,} events sent: {truth.repeated:,} of them twice, {truth.forged} with a forged"
        f" id, {truth.expired} with an expired one; {truth.merges} guests logged in.",
        soft_wrap=True,
    )
    wrong = len(violated(claims))
    out.print(f"[red]{wrong} claims are violated.[/]" if wrong else "[green]No claim is violated.[/]")


def _text(value: float | str | None) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return escaped(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}" if abs(value) >= 10 else f"{value:.4f}"
