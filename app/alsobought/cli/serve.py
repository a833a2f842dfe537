"""`alsobought serve`: answer requests to pipes and accept events over HTTP."""

from __future__ import annotations

import click
import msgspec

from alsobought.console import out
from alsobought.project.package_files import own_project
from alsobought.settings import Settings


@click.command()
@click.option("--demo", is_flag=True, hidden=True)
@click.option("--edit", is_flag=True, help="Let the page edit the files in pipes/. Only for browsers on this machine.")
@click.option(
    "--workers", type=click.IntRange(1, 64), help="HTTP processes behind the port; default: ALSOBOUGHT_WORKERS."
)
@click.pass_obj
def serve(settings: Settings, demo: bool, edit: bool, workers: int | None) -> None:
    """Serve the pipes and accept events over HTTP.

    More than one worker needs a ClickHouse server, and Kafka with `alsobought ingest`.

    \b
    Example: ALSOBOUGHT_PORT=9000 alsobought serve --edit
    """
    from alsobought.demo.announce import announce
    from alsobought.web import server

    if workers:
        settings = msgspec.structs.replace(settings, workers=workers)
    if edit:
        own_project(settings)

    def ready(url: str) -> None:
        out.print(f"Listening on {url}")
        if settings.admin_port:
            out.print(f"The workbench is at {server.page_url(settings)}")

    server.serve(settings, announce(settings, out, server.page_url(settings)) if demo else ready, edit=edit)
