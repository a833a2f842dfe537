"""The command line `alsobought`: its commands, and how an error is printed."""

from __future__ import annotations

import logging
import os
from typing import Any

import click

from alsobought.cli.lazy_commands import LazyCommands
from alsobought.console import err, escaped
from alsobought.errors import AlsoboughtError
from alsobought.redaction import redact_tracebacks, redacted
from alsobought.settings import deprecations, from_environment

PROJECT_COMMANDS = ("init", "upgrade", "pipe", "migrate")
"""They write files of the project, which is in version control and for all who work on it."""


COMMANDS = {
    "init": "init:init",
    "demo": "demo:demo",
    "serve": "serve:serve",
    "migrate": "migrate:migrate",
    "load": "load:load",
    "ingest": "ingest:ingest",
    "dead-letters": "dead_letters:dead_letters",
    "pipe": "pipes:pipe",
    "why": "why:why",
    "check": "check:check",
    "evaluate": "evaluate:evaluate",
    "simulate": "simulate:simulate",
    "experiments": "experiments:experiments",
    "experiment": "experiments:experiment",
    "rebuild": "rebuild:rebuild",
    "reshard": "reshard:reshard",
    "backup": "backup:backup",
    "restore": "restore:restore",
    "verify": "restore:verify",
    "repair": "repair:repair",
    "learn": "learn:learn",
    "features": "features:features",
    "forget": "forget:forget",
    "export": "export:export",
    "unmerge": "unmerge:unmerge",
    "key": "keys:key",
    "token": "tokens:token",
    "audit": "audit:audit",
    "report": "report:report",
    "doctor": "doctor:doctor",
    "top": "top:top",
    "upgrade": "upgrade:upgrade",
}


class CommandGroup(click.Group):
    """Prints an AlsoboughtError as one sentence on standard error, exit status 1, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AlsoboughtError as error:
            err.print(f"[red]alsobought:[/] {escaped(redacted(str(error)))}", soft_wrap=True)
            ctx.exit(1)
        except BrokenPipeError:
            ctx.exit(0)


@click.group(
    cls=CommandGroup, commands=LazyCommands(COMMANDS), context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="alsobought")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Recommendations that are SQL files.

    \b
    Example: alsobought demo
    """
    redact_tracebacks()
    if ctx.invoked_subcommand not in PROJECT_COMMANDS:
        os.umask(0o077)  # what the others write is data: only the owner may read it
    logging.getLogger("alsobought").addHandler(logging.NullHandler())  # errors are printed; `serve` configures a log
    for driver in ("clickhouse_connect", "urllib3.connectionpool", "sqlglot"):
        logging.getLogger(driver).setLevel(logging.CRITICAL)  # they raise what they log, or it is irrelevant
    if ctx.invoked_subcommand != "doctor":  # `doctor` reports invalid settings itself
        ctx.obj = from_environment()
        for warning in deprecations():
            err.print(f"[yellow]warning:[/] {escaped(warning)}", soft_wrap=True)
