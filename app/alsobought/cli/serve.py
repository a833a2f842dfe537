"""`alsobought serve`: answer requests to pipes and accept events over HTTP."""

from __future__ import annotations

import click

from alsobought.console import out
from alsobought.project.package_files import own_project
from alsobought.settings import Settings


@click.command()
@click.option("--demo", is_flag=True, hidden=True)
@click.option("--edit", is_flag=True, help="Let the page edit the files in pipes/. Only for browsers on this machine.")
@click.pass_obj
def serve(settings: Settings, demo: bool, edit: bool) -> None:
    """Serve the pipes and accept events over HTTP.

    \b
    Example: ALSOBOUGHT_PORT=9000 alsobought serve --edit
    """
    from alsobought.demo.announce import announce
    from alsobought.web import server

    if edit:
        own_project(settings)

    def ready(url: str) -> None:
        out.print(f"Listening on {url}")

    server.serve(settings, announce(settings, out) if demo else ready, edit=edit)
