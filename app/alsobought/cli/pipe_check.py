"""`alsobought pipe check`: validate pipes and print their faults."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alsobought.console import escaped, out, print_json
from alsobought.pipes.text_files import MAX_BYTES
from alsobought.project_files import read_file
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.pipes.library import Library, Pipe


@click.command("check")
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def pipe_check(settings: Settings, names: tuple[str, ...], as_json: bool) -> None:
    """Validate pipes, surfaces and experiments, and print each fault with file, line and hint.

    `private` marks pipes whose answers are about a user: they take a secret key or a token. Uses an empty warehouse in memory.
    Exit status 1 if any pipe is broken; warnings do not count.

    \b
    Example: alsobought pipe check also_bought
    """
    from alsobought.authoring.pipe_check import checked_library
    from alsobought.surfaces.live import LiveSurfaces

    with checked_library(settings) as (library, _):
        entries = {name: library.entry(name) for name in names or library.names()}
        other_files = (
            {path.name: library.csv_faults(path.name) for path in library.csv_files()}
            | library.group_faults()
            | library.macro_faults()
            | ({} if names else LiveSurfaces(settings.home_folder, library).checked())
        )
        private = {name: _is_private(library, entry.pipe) for name, entry in entries.items()}
    reports: list[dict[str, Any]] = []
    for name, entry in entries.items():
        reports.append({"pipe": name, "ok": entry.fault is None, "private": private[name], "findings": entry.findings})
        if not as_json:
            _print_findings(settings.home_folder / "pipes" / f"{name}.sql", reports[-1])
    for file, faults in other_files.items() if not names else ():
        findings = [fault.finding("error") for fault in faults]
        reports.append({"file": f"sql/{file}", "ok": not faults, "findings": findings})
        if not as_json and faults:
            _print_findings(settings.home_folder / "sql" / file, reports[-1])
    if as_json:
        print_json(reports)
    if not all(report["ok"] for report in reports):
        sys.exit(1)


def _is_private(library: Library, pipe: Pipe | None) -> bool:
    """True if the pipe is private."""
    from alsobought.pipes.audience import audience

    names = library.names()
    return bool(pipe and audience(pipe, lambda name: library.entry(name).pipe if name in names else None).private)


def _print_findings(path: Path, report: dict[str, Any]) -> None:
    if report["ok"]:
        private = " [dim]private[/]" if report.get("private") else ""
        out.print(f"[green]ok[/] {report['pipe']}{private}", soft_wrap=True)
    file = f"pipes/{path.name}" if "pipe" in report else report["file"]
    lines: list[str] = []
    with suppress(OSError):
        lines = read_file(path, MAX_BYTES).decode(errors="replace").splitlines()
    for finding in report["findings"]:
        colour, prefix = ("red", "") if finding["severity"] == "error" else ("yellow", "warning: ")
        line = finding["line"]
        location = file + (f":{line}" if line else "")
        text = f"{finding['message']}. {finding['hint']}" if finding["hint"] else finding["message"]
        out.print(f"[{colour}]{location}[/]: {prefix}{escaped(text)}", soft_wrap=True)
        if 0 < line <= len(lines):
            out.print(f"[dim]{line:>5} |[/] {escaped(lines[line - 1])}", soft_wrap=True)
