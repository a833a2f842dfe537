"""What `alsobought pipe ls` and `pipe show` say about pipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from alsobought.authoring.pipe_tests import cases_of
from alsobought.console import escaped, out
from alsobought.errors import PipeFault, Unusable
from alsobought.pipes.header import read_header
from alsobought.pipes.library import Library, Pipe, is_name
from alsobought.pipes.lineage import lineage, sharing
from alsobought.pipes.parameter_groups import group_files, read_groups
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.template import files, read_text
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse


def listed(folder: Path) -> list[dict[str, Any]]:
    """The lines of `pipe ls`, from the headers alone; `fault` where one cannot be read."""
    rows = []
    groups = read_groups(group_files(folder.parent / "sql" / "macros"))
    for path in files(folder):
        if not is_name(path.stem):
            continue
        row: dict[str, Any] = {"pipe": path.stem, "sentence": "", "parameters": [], "fault": ""}
        try:
            header = read_header(read_text(path), groups)
        except (PipeFault, UnicodeDecodeError, OSError) as error:
            row["fault"] = str(error)
        else:
            row |= {"sentence": header.sentence, "parameters": [_short(one) for one in header.parameters]}
        rows.append(row)
    return rows


def _short(parameter: Parameter) -> str:
    return parameter.name if parameter.required else f"[{parameter.name}]"


def facts(settings: Settings, library: Library, warehouse: Warehouse, pipe: Pipe) -> dict[str, Any]:
    """All that is known about a pipe."""
    followed = lineage(pipe, warehouse.schema())
    header = pipe.header
    return {
        "pipe": pipe.name,
        "version": pipe.version,
        "prose": header.prose,
        "parameters": [_parameter(parameter) for parameter in pipe.parameters],
        "deprecated": {one.name: one.sentence for one in header.deprecated},
        "columns": [
            {"name": name, "type": kind, "fed_by": followed.columns.get(name, [])} for name, kind in pipe.columns
        ],
        "tables": followed.tables,
        "followed": followed.followed,
        "macros": followed.macros,
        "shares_macros_with": sharing(library, pipe),
        "key": header.key,
        "cache_seconds": header.cache_seconds,
        "cache_until": header.cache_until,
        "fallback": header.fallback.pipe if header.fallback else "",
        "cases": _cases(settings.home_folder / "tests" / "pipes" / f"{pipe.name}.yaml"),
    }


def _cases(path: Path) -> int | None:
    """How many; None if their file cannot be read."""
    try:
        return len(cases_of(path)) if path.exists() else 0
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


def printed(told: dict[str, Any]) -> None:
    """The facts on a terminal."""
    out.print(f"[bold]{told['pipe']}[/]  [dim]version {told['version']}[/]")
    out.print(escaped(told["prose"]))
    if told["parameters"]:
        _section("takes", [[p["name"], p["type"], _assumed(p), p["description"]] for p in told["parameters"]])
    if told["deprecated"]:
        _section("takes still", [[name, sentence] for name, sentence in told["deprecated"].items()])
    _section("answers", [[c["name"], c["type"], ", ".join(c["fed_by"])] for c in told["columns"]])
    _section("reads", [[table, ", ".join(columns)] for table, columns in told["tables"].items()])
    if not told["followed"]:
        out.print("  [dim]which columns feed which could not be followed in this text[/]")
    if told["macros"]:
        _section(
            "macros",
            [
                [name, ", ".join(used), _also(told["shares_macros_with"].get(name, []))]
                for name, used in told["macros"].items()
            ],
        )
    _section("serving", _serving(told))


def _also(pipes: list[str]) -> str:
    return f"also in {', '.join(pipes)}" if pipes else ""


def _assumed(parameter: dict[str, Any]) -> str:
    """As the header says it: `= 10 (1..100)`."""
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


def _serving(told: dict[str, Any]) -> list[list[str]]:
    kept = f"{told['cache_seconds']:g} s" if told["cache_seconds"] else "no"
    if told["cache_until"]:
        kept += f", or until an event touches the {told['cache_until']}"
    cases = "their file cannot be read" if told["cases"] is None else str(told["cases"])
    rows = [["kept", kept], ["fallback", told["fallback"] or "none"], ["cases", cases]]
    return [["key", told["key"]], *rows] if told["key"] else rows


def _section(title: str, rows: list[list[str]]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows:
        table.add_row(*(escaped(cell) for cell in ("", *row)))
    out.print(f"[cyan]{title}[/]")
    out.print(table)
