"""`alsobought pipe check | fmt | new`: the files of pipes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from alsobought.console import escaped, out, print_json
from alsobought.errors import Unusable
from alsobought.project.package_files import own_project
from alsobought.settings import Settings


@click.command("check")
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def pipe_check(settings: Settings, names: tuple[str, ...], as_json: bool) -> None:
    """Find faults: file, line and what would work.

    Against an empty warehouse in memory. Exit status 1 if any pipe is broken; a warning breaks none.

    \b
    Example: alsobought pipe check also_bought
    """
    from alsobought.authoring.pipe_files import checking

    with checking(settings) as (library, _):
        entries = {name: library.entry(name) for name in names or library.names()}
        others = {path.name: library.csv_faults(path.name) for path in library.csv_files()} | library.group_faults()
    told: list[dict[str, Any]] = []
    for name, entry in entries.items():
        told.append({"pipe": name, "ok": entry.fault is None, "findings": entry.findings})
        if not as_json:
            _print_findings(settings.home_folder / "pipes" / f"{name}.sql", told[-1])
    for file, faults in others.items() if not names else ():
        told.append({"file": f"sql/{file}", "ok": not faults, "findings": [one.finding("error") for one in faults]})
        if not as_json and faults:
            _print_findings(settings.home_folder / "sql" / file, told[-1])
    if as_json:
        print_json(told)
    if not all(one["ok"] for one in told):
        sys.exit(1)


def _print_findings(path: Path, told: dict[str, Any]) -> None:
    if told["ok"]:
        out.print(f"[green]ok[/] {told['pipe']}", soft_wrap=True)
    shown = f"pipes/{path.name}" if "pipe" in told else told["file"]
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
    for finding in told["findings"]:
        colour = "red" if finding["severity"] == "error" else "yellow"
        line = finding["line"]
        where = shown + (f":{line}" if line else "")
        said = f"{finding['message']}. {finding['hint']}" if finding["hint"] else finding["message"]
        warning = "" if finding["severity"] == "error" else "warning: "
        out.print(f"[{colour}]{where}[/]: {warning}{escaped(said)}", soft_wrap=True)
        if 0 < line <= len(lines):
            out.print(f"[dim]{line:>5} |[/] {escaped(lines[line - 1])}", soft_wrap=True)


@click.command("fmt")
@click.argument("names", nargs=-1)
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit status 1 if a file would change.")
@click.pass_obj
def pipe_fmt(settings: Settings, names: tuple[str, ...], only_check: bool) -> None:
    """Lay out pipes, or all pipes and macros.

    By sqlfmt; the header stays as it is.

    \b
    Example: alsobought pipe fmt also_bought
    """
    from alsobought.authoring.pipe_files import formatted
    from alsobought.pipes.template import files

    home = settings.home_folder if only_check else own_project(settings)
    known = {path.stem: path for path in files(home / "pipes")}
    if missing := [name for name in names if name not in known]:
        raise Unusable(f"no pipe called {missing[0]!r}", f"There are {', '.join(known)}")
    paths = [known[name] for name in names] or [*known.values(), *files(home / "sql" / "macros")]
    changed = failed = 0
    for path in paths:
        shown = path.relative_to(home)
        try:
            text = path.read_bytes().decode()
            new = formatted(text)
        except UnicodeDecodeError:
            out.print(f"[red]{shown}[/]: the file is not UTF-8 text", soft_wrap=True)
            failed += 1
            continue
        except Unusable as fault:
            if not isinstance(fault.__cause__, ValueError):  # sqlfmt is not there
                raise
            out.print(f"[red]{shown}[/]: {escaped(str(fault))}", soft_wrap=True)
            failed += 1
            continue
        if new != text:
            changed += 1
            out.print(f"[yellow]{'would change' if only_check else 'laid out'}[/] {shown}", soft_wrap=True)
            if not only_check:
                path.write_bytes(new.encode())
    out.print(f"{len(paths) - changed - failed} as they should be, {changed} {'not' if only_check else 'laid out'}"
              + (f", {failed} unreadable" if failed else ""))  # fmt: skip
    if failed or (changed and only_check):
        sys.exit(1)


@click.command("new")
@click.argument("name")
@click.option("--like", default="", metavar="PIPE", help="Begin with a copy of this pipe and its cases.")
@click.pass_obj
def pipe_new(settings: Settings, name: str, like: str) -> None:
    """Begin a pipe and its cases.

    They pass as they are, to be changed into your own.

    \b
    Example: alsobought pipe new most_liked --like trending
    """
    from alsobought.authoring.pipe_files import draft

    home = own_project(settings)
    for path in draft(home, name, like):
        click.echo(path.relative_to(home))
