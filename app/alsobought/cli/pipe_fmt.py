"""`alsobought pipe fmt`: format pipes and macros with sqlfmt."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click

from alsobought.console import escaped, out
from alsobought.errors import Unusable
from alsobought.project.package_files import own_project
from alsobought.project_files import read_file, reason
from alsobought.settings import Settings


@click.command("fmt")
@click.argument("names", nargs=-1)
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit status 1 if a file would change.")
@click.pass_obj
def pipe_fmt(settings: Settings, names: tuple[str, ...], only_check: bool) -> None:
    """Format pipes with sqlfmt, by default all pipes and macros.

    The header stays as it is.

    \b
    Example: alsobought pipe fmt also_bought
    """
    from alsobought.pipes.text_files import list_files

    home = settings.home_folder if only_check else own_project(settings)
    pipes = {path.stem: path for path in list_files(home / "pipes")}
    if missing := [name for name in names if name not in pipes]:
        raise Unusable(f"no pipe called {missing[0]!r}", f"There are {', '.join(pipes)}")
    paths = [pipes[name] for name in names] or [*pipes.values(), *list_files(home / "sql" / "macros")]
    results = [_format_file(path, home, only_check=only_check) for path in paths]
    changed, failed = results.count("changed"), results.count("failed")
    out.print(
        f"{results.count('unchanged')} already formatted, {changed} {'not' if only_check else 'formatted'}"
        + (f", {failed} failed" if failed else "")
    )
    if failed or (changed and only_check):
        sys.exit(1)


def _format_file(path: Path, home: Path, *, only_check: bool) -> Literal["unchanged", "changed", "failed"]:
    from alsobought.authoring.formatting import format_pipe

    name = path.relative_to(home)
    try:
        text = read_file(path).decode()
        formatted = format_pipe(text)
    except UnicodeDecodeError:
        out.print(f"[red]{name}[/]: the file is not UTF-8 text", soft_wrap=True)
        return "failed"
    except OSError as error:
        out.print(f"[red]{name}[/]: cannot be read: {reason(error)}", soft_wrap=True)
        return "failed"
    except Unusable as fault:
        if not isinstance(fault.__cause__, ValueError):  # sqlfmt is not installed
            raise
        out.print(f"[red]{name}[/]: {escaped(str(fault))}", soft_wrap=True)
        return "failed"
    if formatted == text:
        return "unchanged"
    out.print(f"[yellow]{'would change' if only_check else 'formatted'}[/] {name}", soft_wrap=True)
    if not only_check:
        path.write_bytes(formatted.encode())
    return "changed"
