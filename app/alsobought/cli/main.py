"""The command line `alsobought`: its commands, and how an error is printed."""

from __future__ import annotations

import logging
import os
from typing import Any

import click

from alsobought.cli.audit import audit
from alsobought.cli.backup import backup
from alsobought.cli.check import check
from alsobought.cli.dead_letters import dead_letters
from alsobought.cli.demo import demo
from alsobought.cli.doctor import doctor
from alsobought.cli.evaluate import evaluate
from alsobought.cli.export import export
from alsobought.cli.features import features
from alsobought.cli.forget import forget
from alsobought.cli.ingest import ingest
from alsobought.cli.init import init
from alsobought.cli.keys import key
from alsobought.cli.learn import learn
from alsobought.cli.load import load
from alsobought.cli.migrate import migrate
from alsobought.cli.pipes import pipe
from alsobought.cli.rebuild import rebuild
from alsobought.cli.repair import repair
from alsobought.cli.restore import restore, verify
from alsobought.cli.serve import serve
from alsobought.cli.tokens import token
from alsobought.cli.top import top
from alsobought.cli.unmerge import unmerge
from alsobought.cli.upgrade import upgrade
from alsobought.console import err, escaped
from alsobought.errors import AlsoboughtError
from alsobought.redaction import redact_tracebacks, redacted
from alsobought.settings import deprecations, from_environment

PROJECT_COMMANDS = ("init", "upgrade", "pipe", "migrate")
"""They write files of the project, which is in version control and for all who work on it."""


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


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
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


COMMANDS = (
    init,
    demo,
    serve,
    migrate,
    load,
    ingest,
    dead_letters,
    pipe,
    check,
    evaluate,
    rebuild,
    backup,
    restore,
    verify,
    repair,
    learn,
    features,
    forget,
    export,
    unmerge,
    key,
    token,
    audit,
    doctor,
    top,
    upgrade,
)
for command in COMMANDS:
    main.add_command(command)
