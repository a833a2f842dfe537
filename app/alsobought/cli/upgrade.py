"""`alsobought upgrade`: the newer files of the package, for a project that was made with an older one."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from alsobought.console import escaped, out
from alsobought.project.package_files import own_project
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.project.upgrade import Plan, Step

DIFF_LINES = 12  # of each file
COLOURS = {"+": "green", "-": "red"}


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.pass_obj
def upgrade(settings: Settings, dry_run: bool) -> None:
    """Take what a newer package brings into this project.

    New files come, and files that you have not changed are replaced. A file that you changed stays, and its difference from the
    package's is shown. New migrations always come, behind yours; `alsobought migrate up` then applies them. A run that was killed
    is finished by the next.

    \b
    Example: alsobought upgrade --dry-run
    """
    from alsobought.project.upgrade import planned, refuse_broken_migrations
    from alsobought.project.upgrade import upgrade as run

    plan = planned(own_project(settings))
    refuse_broken_migrations(plan, settings)
    for step in plan.writes if dry_run else run(plan):
        out.print(_written(step, dry_run), soft_wrap=True)
    for step in plan.of("yours"):
        _print_own(plan, step)
    for step in plan.of("obsolete"):
        out.print(
            f"[yellow]obsolete[/] {step.path}: the package has it no longer; delete it if you do not need it",
            soft_wrap=True,
        )
    _print_end(plan, dry_run)


def _written(step: Step, dry_run: bool) -> str:
    label = (
        {"new": "would add", "updated": "would update"}[step.state]
        if dry_run
        else {"new": "added", "updated": "updated"}[step.state]
    )
    number = f" ({step.name} in the package: its number was taken)" if step.path != step.name else ""
    return f"[green]{label}[/] {escaped(step.path)}{number}"


def _print_own(plan: Plan, step: Step) -> None:
    """What the shop changed stays. Its difference is shown for pipes, and wherever the package has a newer text."""
    from alsobought.project.package_files import package_files
    from alsobought.project.upgrade import difference

    lines = difference(plan, step)
    more, less = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    why = "which is newer now" if step.newer else "which is as it was"
    out.print(
        f"[yellow]yours[/] {escaped(step.path)} stays (+{more} -{less} lines against the package's, {why})",
        soft_wrap=True,
    )
    if step.name.startswith("sql/schema/"):
        out.print("    `alsobought migrate up`, then `alsobought migrate schema` writes it", soft_wrap=True)
        return
    if not step.newer and not step.name.startswith("pipes/"):
        return
    for line in lines[:DIFF_LINES]:
        colour = COLOURS.get(line[:1], "dim")
        out.print(f"    [{colour}]{escaped(line)}[/]", soft_wrap=True)
    if len(lines) > DIFF_LINES:
        out.print(f"    [dim]and {len(lines) - DIFF_LINES} more lines[/]")
    if step.newer:
        copy = f"cp {package_files()[step.name]} {step.path}"
        out.print(f"    Write into yours what you want of it, or take all of it: {escaped(copy)}", soft_wrap=True)


def _print_end(plan: Plan, dry_run: bool) -> None:
    had, has = plan.manifest.version or "an unknown version", version("alsobought")
    files = f"{len(plan.writes)} file{'s' * (len(plan.writes) > 1)}"
    if not plan.writes:
        out.print(f"Nothing to do: the project has all of {has}.", soft_wrap=True)
    elif dry_run:
        out.print(f"{files} to take, from {had} to {has}. Nothing was changed.", soft_wrap=True)
    else:
        out.print(f"{files} taken, from {had} to {has}. Next:", soft_wrap=True)
        out.print("  git diff                  what changed")
        out.print("  alsobought pipe test      your pipes and cases with it")
        if any(step.name.startswith("migrations/") for step in plan.writes):
            out.print("  alsobought migrate plan   what `alsobought migrate up` will do")
