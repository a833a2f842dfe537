"""`alsobought pipe`: the group of commands for pipes."""

from __future__ import annotations

import click

from alsobought.cli.pipe_check import pipe_check
from alsobought.cli.pipe_diff import pipe_diff
from alsobought.cli.pipe_explain import pipe_explain
from alsobought.cli.pipe_fmt import pipe_fmt
from alsobought.cli.pipe_functions import pipe_functions
from alsobought.cli.pipe_ls import pipe_ls
from alsobought.cli.pipe_new import pipe_new
from alsobought.cli.pipe_run import pipe_run
from alsobought.cli.pipe_show import pipe_show
from alsobought.cli.pipe_test import pipe_test


@click.group()
def pipe() -> None:
    """List, show, run, explain, check, test, compare, format and create pipes.

    \b
    Example: alsobought pipe run also_bought item_id=green-tea
    """


COMMANDS = (
    pipe_check,
    pipe_diff,
    pipe_explain,
    pipe_fmt,
    pipe_functions,
    pipe_ls,
    pipe_new,
    pipe_run,
    pipe_show,
    pipe_test,
)
for command in COMMANDS:
    pipe.add_command(command)
