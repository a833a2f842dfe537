"""`alsobought pipe show`: the parameters, columns, tables and macros of a pipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from alsobought.console import escaped, out, print_json
from alsobought.errors import Unusable
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.pipes.library import Library, Pipe
    from alsobought.pipes.parameters import Parameter
    from alsobought.storage.warehouse import Warehouse


@click.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--sql", "as_sql", is_flag=True, help="Print only the SQL, rendered with all parameters.")
@click.pass_obj
def pipe_show(settings: Settings, name: str, as_json: bool, as_sql: bool) -> None:
    """Show the parameters of a pipe, its columns with their lineage, its tables and macros.

    \b
    Example: alsobought pipe show also_bought
    """
    from alsobought.authoring.pipe_check import checked_library

    with checked_library(settings) as (library, warehouse):
        pipe = library[name]
        if as_sql:
            click.echo(pipe.sql([parameter.name for parameter in pipe.parameters]))
            return
        description = describe(settings, library, warehouse, pipe)
    if as_json:
        print_json(description)
    else:
        _print_description(description)


def describe(settings: Settings, library: Library, warehouse: Warehouse, pipe: Pipe) -> dict[str, Any]:
    """The pipe as JSON. `followed`: the lineage of its columns could be derived from the text."""
    from alsobought.pipes.lineage import lineage, sharing

    traced = lineage(pipe, warehouse.schema())
    header = pipe.header
    return {
        "pipe": pipe.name,
        "version": pipe.version,
        "prose": header.prose,
        "parameters": [_parameter(parameter) for parameter in pipe.parameters],
        "deprecated": {parameter.name: parameter.sentence for parameter in header.deprecated},
        "columns": [
            {"name": name, "type": column_type, "fed_by": traced.columns.get(name, [])}
            for name, column_type in pipe.columns
        ],
        "tables": traced.tables,
        "followed": traced.followed,
        "macros": traced.macros,
        "shares_macros_with": sharing(library, pipe),
        "key": header.key,
        "together": header.together,
        "cache_seconds": header.cache_seconds,
        "cache_until": header.cache_until,
        "cache_events": header.cache_events,
        "fallback": header.fallback.pipe if header.fallback else "",
        "cases": _case_count(settings.home_folder / "tests" / "pipes" / f"{pipe.name}.yaml"),
    }


def _case_count(path: Path) -> int | None:
    """None if the file cannot be read."""
    from alsobought.authoring.case_files import read_cases

    try:
        return len(read_cases(path)) if path.exists() else 0
    except Unusable:
        return None


def _parameter(parameter: Parameter) -> dict[str, Any]:
    low, high = parameter.minimum, parameter.maximum
    lengths = [parameter.min_length, parameter.max_length]
    return {
        "name": parameter.name,
        "type": f"Array({parameter.type})" if parameter.repeated else parameter.type,
        "required": parameter.required,
        "default": parameter.assumed,
        "range": None if low is None and high is None else [low, high],
        "lengths": lengths if any(lengths) else None,
        "pattern": parameter.pattern,
        "choices": list(parameter.choices),
        "description": parameter.description,
    }


def _print_description(description: dict[str, Any]) -> None:
    out.print(f"[bold]{description['pipe']}[/]  [dim]version {description['version']}[/]")
    out.print(escaped(description["prose"]))
    if description["parameters"]:
        _section(
            "parameters",
            [[p["name"], p["type"], _default_and_limits(p), p["description"]] for p in description["parameters"]],
        )
    if description["deprecated"]:
        _section("deprecated", [[name, sentence] for name, sentence in description["deprecated"].items()])
    _section("columns", [[c["name"], c["type"], ", ".join(c["fed_by"])] for c in description["columns"]])
    _section("tables", [[table, ", ".join(columns)] for table, columns in description["tables"].items()])
    if not description["followed"]:
        out.print("  [dim]the lineage of the columns could not be derived from this text[/]")
    if description["macros"]:
        _section(
            "macros",
            [
                [name, ", ".join(used), _shared_with(description["shares_macros_with"].get(name, []))]
                for name, used in description["macros"].items()
            ],
        )
    _section("serving", _serving(description))


def _shared_with(pipes: list[str]) -> str:
    return f"also in {', '.join(pipes)}" if pipes else ""


def _default_and_limits(parameter: dict[str, Any]) -> str:
    """In the syntax of a header: `= 10 (1..100)`."""
    default = parameter["default"]
    words = ["required" if parameter["required"] else "optional" if default is None else ""]
    if default is not None:
        words.append(
            f"= {', '.join(map(str, default)) if isinstance(default, list) else default}" if default != "" else "= ''"
        )
    limits = ["{}..{}".format(*map(_plain, ends)) for ends in (parameter["range"], parameter["lengths"]) if ends]
    if parameter["pattern"]:
        limits.append(f"/{parameter['pattern']}/")
    if limits := limits + [str(choice) for choice in parameter["choices"]]:
        words.append(f"({', '.join(limits)})")
    return " ".join(filter(None, words))


def _plain(number: Any) -> str:
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def _serving(description: dict[str, Any]) -> list[list[str]]:
    cached = f"{description['cache_seconds']:g} s" if description["cache_seconds"] else "no"
    if description["cache_until"]:
        events = " or ".join(description["cache_events"]) or "event"
        article = "an" if events[0] in "aeiou" else "a"
        cached += f", or until {article} {events} has the same {description['cache_until']}"
    elif description["cache_seconds"]:
        cached += ", or until any event"
    cases = "cannot read the file" if description["cases"] is None else str(description["cases"])
    rows = [["cached", cached], ["fallback", description["fallback"] or "none"], ["cases", cases]]
    return [["key", description["key"]], *rows] if description["key"] else rows


def _section(title: str, rows: list[list[str]]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows:
        table.add_row(*(escaped(cell) for cell in ("", *row)))
    out.print(f"[cyan]{title}[/]")
    out.print(table)
