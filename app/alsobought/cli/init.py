"""`alsobought init`: create a shop's project folder."""

from __future__ import annotations

from pathlib import Path

import click

from alsobought.console import escaped, out
from alsobought.settings import Settings


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.pass_obj
def init(settings: Settings, folder: Path) -> None:
    """Create a project in a new or empty folder: pipes with their cases, SQL and migrations, for you to change.

    Later, `alsobought upgrade` adds the files of a newer package, and keeps the files that you changed.

    \b
    Example: alsobought init myshop
    """
    from alsobought.project.upgrade import started, upgrade
    from alsobought.web.server import url

    plan = started(folder.resolve())
    for _ in upgrade(plan):
        pass
    pipes = sum(step.name.startswith("pipes/") for step in plan.steps)
    tables = sum(step.name.startswith("migrations/") for step in plan.steps)
    here = folder.resolve() == Path.cwd()
    out.print(
        f"[green]made[/] {escaped(str(folder))}: {pipes} pipes with their cases, {tables} migrations", soft_wrap=True
    )
    lines = [
        *([] if here else [f"  cd {folder}"]),
        f"  alsobought serve                    an empty shop that takes events, on {url(settings)}",
        "  alsobought demo --dataset toyshop   or a small simulated one, to look around",
        "  alsobought pipe new NAME            a pipe of your own, with a case",
    ]
    end = "README.md has the next steps. Keep the folder in git, to see what `alsobought upgrade` changes."
    out.print(escaped("\n".join(["\nNext:", *lines, "", end])), soft_wrap=True)
