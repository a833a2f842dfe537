"""`alsobought pipe`: the group of commands for pipes."""

from __future__ import annotations

import click

from alsobought.cli.lazy_commands import LazyCommands

COMMANDS = {
    "check": "pipe_check:pipe_check",
    "diff": "pipe_diff:pipe_diff",
    "explain": "pipe_explain:pipe_explain",
    "fmt": "pipe_fmt:pipe_fmt",
    "functions": "pipe_functions:pipe_functions",
    "ls": "pipe_ls:pipe_ls",
    "new": "pipe_new:pipe_new",
    "run": "pipe_run:pipe_run",
    "show": "pipe_show:pipe_show",
    "test": "pipe_test:pipe_test",
}


@click.group(commands=LazyCommands(COMMANDS))
def pipe() -> None:
    """List, show, run, explain, check, test, compare, format and create pipes.

    \b
    Example: alsobought pipe run also_bought item_id=green-tea
    """
