"""`alsobought pipe …`: list, run, check and test the pipes."""

from __future__ import annotations

import sys
import time

import click
import msgspec
from rich.table import Table

from app.errors import PipeFault, Unusable
from app.progress import escaped, out
from app.settings import Settings


@click.group()
def pipe() -> None:
    """List, run, check and test the pipes.

    \b
    Example: alsobought pipe run also_bought item_id=green-tea
    """


@pipe.command("ls")
@click.pass_obj
def pipe_ls(settings: Settings) -> None:
    """Every pipe with its sentence.

    \b
    Example: alsobought pipe ls
    """
    from app.pipes.header import read_header

    table = Table(box=None, show_header=False)
    for path in sorted((settings.home_folder / "pipes").glob("*.sql")):
        try:
            sentence = read_header(path.read_text()).sentence
        except (PipeFault, UnicodeDecodeError) as fault:
            sentence = f"[red]{escaped(str(fault))}[/]"
        table.add_row(f"[bold]{path.stem}[/]", sentence)
    out.print(table)


@pipe.command("run")
@click.argument("name")
@click.argument("parameters", nargs=-1)
@click.pass_obj
def pipe_run(settings: Settings, name: str, parameters: tuple[str, ...]) -> None:
    """Ask a pipe: a table on a terminal, JSON in a pipe. Repeat a parameter to give several values.

    \b
    Example: alsobought pipe run also_bought item_id=green-tea limit=3
    """
    from app.answers import answer, open_library
    from app.intake import utc_now
    from app.visitor import reach_warehouse

    given: dict[str, list[str]] = {}
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        if not equals:
            raise Unusable(f"{parameter!r} is not a parameter", "Write it as name=value")
        given.setdefault(key, []).append(value)
    warehouse = reach_warehouse(settings, create=False)
    try:
        found = answer(open_library(settings, warehouse), warehouse, name, given, utc_now())
    finally:
        warehouse.close()
    if not out.is_terminal:
        click.echo(msgspec.json.format(msgspec.json.encode(found.dicts()), indent=2))
        return
    table = Table(*(column.name for column in found.meta))
    for row in found.dicts():
        table.add_row(*(escaped(str(value)) for value in row.values()))
    out.print(table)
    by = f", answered by {found.fallback}" if found.fallback else ""
    out.print(f"{len(found.data)} rows in {found.statistics.elapsed * 1000:.1f} ms{by}")


@pipe.command("check")
@click.argument("names", nargs=-1)
@click.pass_obj
def pipe_check(settings: Settings, names: tuple[str, ...]) -> None:
    """Check pipes against an empty warehouse in memory: file, line, fault. Exit status 1 if any is broken.

    \b
    Example: alsobought pipe check also_bought
    """
    from app.answers import open_library
    from app.shop import open_shop

    shop = open_shop(msgspec.structs.replace(settings, dsn="chdb://:memory:", database="checked"))
    try:
        library = open_library(settings, shop.warehouse)
        broken = 0
        for name in names or library.names():
            fault = library.entry(name).fault
            broken += fault is not None
            where = f"pipes/{name}.sql" + (f":{fault.line}" if fault and fault.line else "")
            out.print(f"[red]{where}[/]: {escaped(str(fault))}" if fault else f"[green]ok[/] {name}", soft_wrap=True)
    finally:
        shop.close()
    if broken:
        sys.exit(1)


@pipe.command("test")
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def pipe_test(settings: Settings, names: tuple[str, ...], as_json: bool) -> None:
    """Run the cases in tests/pipes/ on a warehouse in memory. Exit status 1 if any fails.

    \b
    Example: alsobought pipe test also_bought
    """
    from app.cases import bench, cases_of

    folder = settings.home_folder / "tests" / "pipes"
    known = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if missing := [name for name in names if name not in known]:
        raise Unusable(f"no cases of {', '.join(missing)} in {folder}", f"There are {', '.join(known) or 'none'}")
    paths = [known[name] for name in names or known]
    failed = passed = 0
    told = []
    with bench(settings) as workbench:
        for path in paths:
            for case in cases_of(path):
                started = time.monotonic()
                problem = workbench.run(path.stem, case)
                took = round((time.monotonic() - started) * 1000)
                told.append(
                    {"pipe": path.stem, "it": case.it, "ok": not problem, "problem": problem, "milliseconds": took}
                )
                failed, passed = failed + bool(problem), passed + (not problem)
                if as_json:
                    continue
                mark = "[red]failed[/]" if problem else "[green]ok[/]"
                out.print(f"{mark} {path.stem} {escaped(case.it)}", soft_wrap=True)
                if problem:
                    out.print(f"   {escaped(problem)}", soft_wrap=True)
    if as_json:
        click.echo(msgspec.json.encode(told))
    else:
        out.print(f"{passed} passed, {failed} failed")
    if failed:
        sys.exit(1)
