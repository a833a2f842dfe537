"""`alsobought upgrade`: bring the files of a newer package into a project."""

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
    """Bring the files of a newer package into this project.

    Adds new files and replaces those that you have not changed. Keeps a file that you changed, and shows how it differs from the
    package's. Adds every new migration, under the next free number if its own is taken; `alsobought migrate up` then applies
    them. After a killed run, run it again.

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
            f"[yellow]obsolete[/] {step.path}: no longer in the package; delete it if you do not need it",
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
    """A file that the shop changed is kept. Shows the changed lines of pipes, and of files that are newer in the package."""
    from alsobought.project.package_files import package_files
    from alsobought.project.upgrade import difference

    lines = difference(plan, step)
    more, less = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    why = "which is newer" if step.newer else "which has not changed"
    out.print(
        f"[yellow]kept[/] {escaped(step.path)}: yours has +{more} -{less} lines against the package's, {why}",
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
        out.print(f"    Merge what you need into yours, or replace yours: {escaped(copy)}", soft_wrap=True)


def _print_end(plan: Plan, dry_run: bool) -> None:
    had, has = plan.manifest.version or "an unknown version", version("alsobought")
    files = f"{len(plan.writes)} file{'s' * (len(plan.writes) > 1)}"
    if not plan.writes:
        out.print(f"Nothing to do: the project is up to date with {has}.", soft_wrap=True)
    elif dry_run:
        out.print(f"{files} to add or update, from {had} to {has}. Nothing was changed.", soft_wrap=True)
    else:
        out.print(f"{files} added or updated, from {had} to {has}. Next:", soft_wrap=True)
        out.print("  git diff                  what changed")
        out.print("  alsobought pipe test      your pipes and cases, with the new files")
        if any(step.name.startswith("migrations/") for step in plan.writes):
            out.print("  alsobought migrate plan   what `alsobought migrate up` will do")
