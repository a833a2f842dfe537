"""`alsobought pipe ls`: list pipes, from their headers alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from alsobought.console import escaped, out, print_json
from alsobought.errors import PipeFault
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.pipes.parameters import Parameter


@click.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def pipe_ls(settings: Settings, as_json: bool) -> None:
    """List every pipe with its sentence and parameters; `pipe check` validates them.

    `private` marks those that need a user; `pipe check` knows also those that show users in a column.

    \b
    Example: alsobought pipe ls
    """
    folder = settings.home_folder / "pipes"
    rows = _rows(folder)
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print(f"no pipes in {escaped(str(folder))}; create one with `alsobought pipe new NAME`")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows:
        parameters = " ".join(row["parameters"])
        text = f"[red]{escaped(row['fault'])}[/]" if row["fault"] else escaped(row["sentence"])
        text += " [yellow]private[/]" if row["private"] else ""
        table.add_row(f"[bold]{row['pipe']}[/]", text + (f" [dim]{escaped(parameters)}[/]" if parameters else ""))
    out.print(table)


def _rows(folder: Path) -> list[dict[str, Any]]:
    """`fault` is why a header cannot be read, else empty."""
    from alsobought.pipes.audience import names_user
    from alsobought.pipes.header import read_header
    from alsobought.pipes.library import is_name
    from alsobought.pipes.parameter_groups import group_files, read_groups
    from alsobought.pipes.text_files import list_files, read_text

    rows = []
    groups = read_groups(group_files(folder.parent / "sql" / "macros"))
    for path in list_files(folder):
        if not is_name(path.stem):
            continue
        row: dict[str, Any] = {"pipe": path.stem, "sentence": "", "private": False, "parameters": [], "fault": ""}
        try:
            header = read_header(read_text(path), groups)
        except (PipeFault, UnicodeDecodeError, OSError) as error:
            row["fault"] = str(error)
        else:
            needed = any(names_user(parameter.name) for parameter in header.parameters if parameter.required)
            row |= {
                "sentence": header.sentence,
                "private": header.audience == "private" or (needed and not header.audience),
                "parameters": [_short(parameter) for parameter in header.parameters],
            }
        rows.append(row)
    return rows


def _short(parameter: Parameter) -> str:
    return parameter.name if parameter.required else f"[{parameter.name}]"
