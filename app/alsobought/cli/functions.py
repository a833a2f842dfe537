"""`alsobought pipe functions`: the functions that a pipe may call, and why they may be called."""

from __future__ import annotations

import click

from alsobought.console import escaped, out, print_json
from alsobought.pipes.functions import COMBINATORS, GROUPS, instead, is_allowed


@click.command("functions")
@click.argument("word", default="")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def pipe_functions(word: str, as_json: bool) -> None:
    """The functions a pipe may call, by group; with WORD those that have it in their name.

    \b
    Example: alsobought pipe functions date
    """
    found = {
        reason: [name for name in names.split() if word.lower() in name.lower()] for reason, names in GROUPS.items()
    }
    found = {reason: names for reason, names in found.items() if names}
    if as_json:
        print_json(found)
        return
    for reason, names in found.items():
        out.print(f"[bold]{escaped(reason)}[/]")
        out.print(f"  {escaped(' '.join(names))}")
    if not found and is_allowed(word):
        out.print(f"{escaped(word)} is an aggregate with endings")
    elif not found:
        out.print(f"{escaped(word)} is not allowed in a pipe. {escaped(instead(word))}")
    if not word:
        out.print(f"[dim]Aggregates take any of these endings: {' '.join(COMBINATORS)}[/]")
