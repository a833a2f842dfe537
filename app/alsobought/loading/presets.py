"""Presets: the flags for the exports of shops and for public data sets, one file each in `presets/`.

A preset is a set of flags and nothing more: `flags` writes them as a command. Flags of the user take
precedence.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from alsobought.errors import Unusable
from alsobought.loading.conditions import condition_of
from alsobought.loading.files import Layout
from alsobought.loading.mapping import NEEDED, ColumnMapping

FOLDER = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class Preset:
    """`hint` is for a file that does not fit."""

    name: str
    kind: str
    title: str
    layout: Layout
    columns: ColumnMapping
    note: str = ""
    hint: str = ""


@cache
def presets() -> list[Preset]:
    """All of them, by name, events before items."""
    return [
        _preset(path.stem, kind, flags)
        for path in sorted(FOLDER.glob("*.toml"))
        for kind, flags in sorted(tomllib.loads(path.read_text()).items())
    ]


def _preset(name: str, kind: str, flags: Mapping[str, Any]) -> Preset:
    columns = ColumnMapping(
        mapped=flags.get("map", {}),
        constants=flags.get("set", {}),
        drop_rest=flags.get("drop-rest", False),
        values=flags.get("map-value", {}),
        where=tuple(flags.get("where", ())),
        fill_down=tuple(flags.get("fill-down", ())),
        fill_within=flags.get("fill-within", ""),
        each=flags.get("each", ""),
        lists=flags.get("list", {}),
        category_separator=flags.get("category-separator", ""),
        convert=flags.get("convert", False),
        epoch=flags.get("epoch", ""),
    )
    layout = Layout(usual_format=flags["format"], columns=tuple(flags.get("columns", ())))
    columns = replace(columns, optional=_optional(kind, columns))
    return Preset(name, kind, flags["title"], layout, columns, flags.get("note", ""), flags.get("hint", ""))


def _optional(kind: str, columns: ColumnMapping) -> frozenset[str]:
    """The columns of a preset that a file may lack: all but those of the fields that make an event or an item."""
    first = (next(iter(columns.mapped[name] for name in names if name in columns.mapped), "") for names in NEEDED[kind])
    needed = {*first, *(column for name, column in columns.mapped.items() if name in ("timestamp", "order_id"))}
    where = {condition_of(text).column for text in columns.where}
    used = {*columns.mapped.values(), *where, *columns.fill_down, columns.fill_within, columns.each}
    return frozenset(used - needed - {""})


def preset_of(name: str, kind: str) -> Preset:
    """Raises Unusable if there is none of this name for this kind."""
    of_name = [preset for preset in presets() if preset.name == name]
    for preset in of_name:
        if preset.kind == kind:
            return preset
    if of_name:
        raise Unusable(
            f"--format {name} is for {of_name[0].kind}", f"alsobought load {of_name[0].kind} … --format {name}"
        )
    raise Unusable(f"--format: {name!r} is not known", "alsobought load --presets lists them")


def with_preset(preset: Preset, layout: Layout, columns: ColumnMapping) -> tuple[Layout, ColumnMapping]:
    """The flags of a preset and of the user, whose take precedence."""
    own = preset.columns
    time_is_given = columns.epoch or columns.time_format
    conditions = {condition_of(text).column for text in columns.where}
    merged = replace(
        columns,
        mapped={name: column for name, column in own.mapped.items() if name not in columns.constants}
        | {**columns.mapped},
        constants={name: value for name, value in own.constants.items() if name not in columns.mapped}
        | {**columns.constants},
        drop_rest=(own.drop_rest and not columns.keep_rest) or columns.drop_rest,
        values={**own.values, **{name: {**own.values.get(name, {}), **new} for name, new in columns.values.items()}},
        where=(*(text for text in own.where if condition_of(text).column not in conditions), *columns.where),
        fill_down=tuple(dict.fromkeys((*own.fill_down, *columns.fill_down))),
        fill_within=columns.fill_within or own.fill_within,
        each=columns.each or own.each,
        lists={**own.lists, **columns.lists},
        category_separator=columns.category_separator or own.category_separator,
        convert=columns.convert or own.convert,
        epoch=columns.epoch or ("" if time_is_given else own.epoch),
        optional=own.optional - {*columns.mapped.values()},
    )
    usual = replace(layout, usual_format=preset.layout.usual_format, columns=layout.columns or preset.layout.columns)
    return usual, merged


def flags(kind: str, layout: Layout, columns: ColumnMapping) -> list[str]:
    """The words of the command that has the same effect.

    >>> flags("events", Layout(), ColumnMapping(constants={"event_type": "view"}, epoch="ms"))
    ['alsobought', 'load', 'events', 'FILE', '--set', 'event_type=view', '--epoch', 'ms']
    """
    words = ["alsobought", "load", kind, "FILE"]
    for flag, value in _flags_of(layout, columns):
        words += [flag] if isinstance(value, bool) else [flag, value]
    return words


def _flags_of(layout: Layout, columns: ColumnMapping) -> Iterator[tuple[str, str | bool]]:
    values: dict[str, Any] = {
        "--format": layout.format or layout.usual_format,
        "--delimiter": layout.delimiter,
        "--encoding": layout.encoding,
        "--columns": ",".join(layout.columns),
        "--set": columns.constants,
        "--map": columns.mapped,
        "--map-value": [f"{name}={old}:{new}" for name, pairs in columns.values.items() for old, new in pairs.items()],
        "--where": columns.where,
        "--fill-down": columns.fill_down,
        "--fill-within": columns.fill_within,
        "--each": columns.each,
        "--list": columns.lists,
        "--category-separator": columns.category_separator,
        "--convert": columns.convert,
        "--decimal": columns.decimal,
        "--thousands": columns.thousands,
        "--epoch": columns.epoch,
        "--time-format": columns.time_format,
        "--time-zone": columns.time_zone,
        "--drop": sorted(columns.dropped),
        "--drop-rest": columns.drop_rest,
        "--keep-rest": columns.keep_rest,
    }
    for flag, value in values.items():
        if isinstance(value, Mapping):
            yield from ((flag, f"{name}={text}") for name, text in value.items())
        elif isinstance(value, (list, tuple)):
            yield from ((flag, text) for text in value)
        elif value:
            yield flag, value


def as_command(words: list[str]) -> str:
    """The command on several lines, one for each flag."""
    lines, words = [" ".join(words[:4])], words[4:]
    for word in words:
        if word.startswith("--"):
            lines.append(f"  {word}")
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return " \\\n".join(lines)
