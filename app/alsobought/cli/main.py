"""The command line: `alsobought demo | serve | migrate | load | ingest | dead-letters | pipe | check | forget | …`."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import click
import msgspec
from alsobought.cli.check import check
from alsobought.cli.doctor import doctor
from alsobought.cli.evaluate import evaluate
from alsobought.cli.features import features
from alsobought.cli.ingest import ingest
from alsobought.cli.learn import learn
from alsobought.cli.letters import dead_letters
from alsobought.cli.load import load
from alsobought.cli.migrate import migrate
from alsobought.cli.pipes import pipe
from alsobought.cli.rebuild import rebuild
from alsobought.cli.users import export, forget
from alsobought.console import err, escaped, out
from alsobought.errors import AlsoboughtError
from alsobought.settings import Settings, from_environment


class Commands(click.Group):
    """Every error of ours is one sentence on standard error and exit status 1; never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AlsoboughtError as error:
            err.print(f"[red]alsobought:[/] {escaped(str(error))}", soft_wrap=True)
            ctx.exit(1)
        except BrokenPipeError:
            ctx.exit(0)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="alsobought")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Recommendations that are SQL files.

    \b
    Example: alsobought demo
    """
    logging.getLogger("app").addHandler(logging.NullHandler())  # a failure is one sentence; `serve` opens a log
    for driver in ("clickhouse_connect", "urllib3.connectionpool", "sqlglot"):
        logging.getLogger(driver).setLevel(logging.CRITICAL)  # they raise what they log, or it does not matter
    if ctx.invoked_subcommand != "doctor":  # who tells what is wrong with them
        ctx.obj = from_environment()


@main.command()
@click.option("--dataset", type=click.Choice(["journey", "toyshop"]), default="journey", show_default=True)
@click.option("--edit", is_flag=True, help="As of `serve`.")
@click.pass_obj
def demo(settings: Settings, dataset: str, edit: bool) -> None:
    """Load a data set once, then serve it.

    \b
    Example: alsobought demo --dataset toyshop
    """
    from alsobought.demo.play import prepare
    from alsobought.web.server import refuse_if_anybody_could_edit, refuse_if_occupied

    if edit:
        refuse_if_anybody_could_edit(settings)
    settings = _demo_settings(settings, dataset)
    refuse_if_occupied(settings)
    prepare(settings, dataset, err)
    # A fresh process: the engine that loaded the data does not survive the fork of the web server.
    os.environ["ALSOBOUGHT_DATA"] = settings.data
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "alsobought.cli.main", "serve", "--demo", *["--edit"] * edit])  # noqa: S606


def _demo_settings(settings: Settings, dataset: str) -> Settings:
    return msgspec.structs.replace(settings, data=str(settings.data_folder / dataset))


@main.command()
@click.option("--demo", is_flag=True, hidden=True)
@click.option(
    "--edit", is_flag=True, help="Let the page change the files in pipes/. Only browsers on this machine may."
)
@click.pass_obj
def serve(settings: Settings, demo: bool, edit: bool) -> None:
    """Serve the pipes and take events over HTTP.

    \b
    Example: ALSOBOUGHT_PORT=9000 alsobought serve --edit
    """
    from alsobought.demo.play import announce
    from alsobought.web import server as service

    def ready(url: str) -> None:
        out.print(f"alsobought serves on {url}")

    service.serve(settings, announce(settings, out) if demo else ready, edit=edit)


main.add_command(migrate)
main.add_command(load)
main.add_command(ingest)
main.add_command(dead_letters)
main.add_command(pipe)
main.add_command(check)
main.add_command(evaluate)
main.add_command(rebuild)
main.add_command(learn)
main.add_command(features)
main.add_command(forget)
main.add_command(export)
main.add_command(doctor)

if __name__ == "__main__":
    main()
