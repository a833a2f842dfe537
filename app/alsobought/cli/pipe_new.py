"""`alsobought pipe new`: create a pipe and its cases."""

from __future__ import annotations

import click

from alsobought.project.package_files import own_project
from alsobought.settings import Settings


@click.command("new")
@click.argument("name")
@click.option("--like", default="", metavar="PIPE", help="Copy this pipe and its cases.")
@click.pass_obj
def pipe_new(settings: Settings, name: str, like: str) -> None:
    """Create a pipe and its cases, which pass unchanged; edit them into your own.

    \b
    Example: alsobought pipe new most_liked --like trending
    """
    from alsobought.authoring.scaffold import create_pipe

    home = own_project(settings)
    for path in create_pipe(home, name, like):
        click.echo(path.relative_to(home))
