"""`alsobought pipe functions`: list the functions that a pipe may call, and the reason for each group."""

from __future__ import annotations

import click

from alsobought.console import escaped, out, print_json
from alsobought.pipes.functions import COMBINATORS, GROUPS, is_allowed, suggest_function


@click.command("functions")
@click.argument("word", default="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def pipe_functions(word: str, as_json: bool) -> None:
    """List the functions that a pipe may call, by group; with WORD, those whose name contains it.

    \b
    Example: alsobought pipe functions date
    """
    groups = {
        reason: [name for name in names.split() if word.lower() in name.lower()] for reason, names in GROUPS.items()
    }
    groups = {reason: names for reason, names in groups.items() if names}
    if as_json:
        print_json(groups)
        return
    for reason, names in groups.items():
        out.print(f"[bold]{escaped(reason)}[/]")
        out.print(f"  {escaped(' '.join(names))}")
    if not groups and is_allowed(word):
        out.print(f"{escaped(word)} is an aggregate function with combinators")
    elif not groups:
        out.print(f"{escaped(word)} is not allowed in a pipe. {escaped(suggest_function(word))}")
    if not word:
        out.print(f"[dim]Aggregate functions accept these combinators: {' '.join(COMBINATORS)}[/]")
