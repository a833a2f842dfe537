"""The options of `alsobought load` that decide how a file is read: from words to a layout and a column mapping."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any, TypeVar

import click

from alsobought.console import out
from alsobought.errors import Unusable
from alsobought.loading.conditions import condition_of
from alsobought.loading.files import FORMATS, Layout
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.number_cells import MARKS
from alsobought.loading.presets import Preset, preset_of, presets, with_preset
from alsobought.loading.time_cells import EPOCHS

Command = TypeVar("Command", bound=Callable[..., Any])
THOUSANDS = (*MARKS, " ", "'")  # spaces and apostrophes need no flag


def _pairs(ctx: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:  # noqa: ARG001
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text!r} is not of the form name=value, such as user_id=customer_id")
        if name in pairs:
            raise click.BadParameter(f"{name} is given twice")
        pairs[name] = value
    return pairs


def _values(ctx: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, dict[str, str]]:  # noqa: ARG001
    values: dict[str, dict[str, str]] = {}
    for text in texts:
        name, equals, pair = text.partition("=")
        old, colon, new = pair.rpartition(":")
        if not name or not equals or not colon:
            raise click.BadParameter(
                f"{text!r} is not of the form FIELD=OLD:NEW, such as event_type=transaction:purchase"
            )
        values.setdefault(name, {})[old] = new
    return values


def _conditions(ctx: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG001
    for text in texts:
        try:
            condition_of(text)
        except Unusable as error:
            raise click.BadParameter(error.message.removeprefix("--where: ")) from error
    return texts


def _delimiter(ctx: click.Context, option: click.Parameter, text: str) -> str:  # noqa: ARG001
    delimiter = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(delimiter) > 1 or delimiter in ('"', "\n", "\r"):
        raise click.BadParameter(f"{text!r} is not a single character, such as ; or tab")
    return delimiter


def _thousands(ctx: click.Context, option: click.Parameter, text: str) -> str:  # noqa: ARG001
    mark = " " if text == "space" else text
    if mark and mark not in THOUSANDS:
        raise click.BadParameter(f"{text!r} is not one of ., a comma, space and '")
    return mark


def _columns(ctx: click.Context, option: click.Parameter, text: str) -> tuple[str, ...]:  # noqa: ARG001
    return tuple(name.strip() for name in next(csv.reader([text]), []))


def _print_presets(ctx: click.Context, option: click.Parameter, is_given: bool) -> None:  # noqa: ARG001
    if is_given:
        width = max(len(preset.name) for preset in presets())
        for preset in presets():
            out.print(f"{preset.name:{width}}  {preset.kind:6}  {preset.title}", soft_wrap=True, markup=False)
        ctx.exit(0)


OPTIONS = (
    click.option(
        "--format",
        "format_name",
        default="",
        metavar="NAME",
        help=f"Format, if the file name does not end in it: {', '.join(FORMATS)}; or a preset, such as shopify-orders.",
    ),
    click.option(
        "--presets", is_flag=True, is_eager=True, expose_value=False, callback=_print_presets, help="List the presets."
    ),
    click.option("--show", is_flag=True, help="Print the command with the flags of the preset, and load nothing."),
    click.option("--delimiter", default="", callback=_delimiter, help="Separator of CSV cells, for example ; or tab."),
    click.option("--encoding", default="", help="Encoding of the text, for example cp1252 or utf-16."),
    click.option(
        "--columns", default="", callback=_columns, metavar="A,B,C", help="The columns of a CSV file without a header."
    ),
    click.option(
        "--map",
        "mapped",
        multiple=True,
        callback=_pairs,
        metavar="FIELD=COLUMN",
        help="Read this field from this column; of A|B the first that is not empty; a.b is inside an object.",
    ),
    click.option(
        "--set", "constants", multiple=True, callback=_pairs, metavar="FIELD=VALUE", help="Set this field in every row."
    ),
    click.option(
        "--map-value",
        "values",
        multiple=True,
        callback=_values,
        metavar="FIELD=OLD:NEW",
        help="Replace this value of a field, for example event_type=transaction:purchase.",
    ),
    click.option(
        "--where",
        multiple=True,
        callback=_conditions,
        metavar="COLUMN=VALUE",
        help="Load only rows with this value, or with A|B one of them; != leaves them out.",
    ),
    click.option("--drop", multiple=True, metavar="COLUMN", help="Ignore this column."),
    click.option("--drop-rest", is_flag=True, help="Ignore all other columns."),
    click.option("--keep-rest", is_flag=True, help="Keep other columns under properties (of items: attributes)."),
    click.option(
        "--fill-down", multiple=True, metavar="COLUMN", help="An empty cell of this column is that of the row above."
    ),
    click.option(
        "--fill-within",
        default="",
        metavar="COLUMN",
        help="Fill down only while this column is the same, as an order number is.",
    ),
    click.option(
        "--each", default="", metavar="COLUMN", help="One row for each element of this list, as items.item_id."
    ),
    click.option(
        "--list",
        "lists",
        multiple=True,
        callback=_pairs,
        metavar="FIELD=SEPARATOR",
        help="The cells of this field are lists: take the first, of categories the deepest.",
    ),
    click.option(
        "--category-separator", default="", metavar="TEXT", help="Categories are written A > B with this separator."
    ),
    click.option(
        "--convert", is_flag=True, help="Convert JSON values as cells are: numbers, times and yes or no from text."
    ),
    click.option(
        "--decimal", type=click.Choice(list(MARKS)), default=None, help="The decimal mark of numbers in text."
    ),
    click.option(
        "--thousands", default="", callback=_thousands, metavar="[.|,|space|']", help="The mark between thousands."
    ),
    click.option(
        "--epoch", type=click.Choice(list(EPOCHS)), default=None, help="Timestamps count this unit since 1970."
    ),
    click.option(
        "--time-format", default="", metavar="FORMAT", help="Format of timestamps, for example '%d/%m/%Y %H:%M'."
    ),
    click.option("--time-zone", default="", metavar="ZONE", help="Zone of times without one, by default UTC."),
)


def reading_options(command: Command) -> Command:
    """The decorator with all of them."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def layout_and_columns(
    kind: str, *, format_name: str, delimiter: str, encoding: str, columns: tuple[str, ...], **flags: Any
) -> tuple[Layout, ColumnMapping, Preset | None]:
    """What the options mean, with those of the preset if one is named. Raises Unusable."""
    flags = {name: "" if value is None else value for name, value in flags.items()}
    flags["dropped"] = frozenset(flags.pop("drop"))
    mapping = ColumnMapping(**flags)
    if mapping.decimal and mapping.decimal == mapping.thousands:
        raise Unusable(f"--decimal and --thousands are both {mapping.decimal}", "Pass one of them")
    if mapping.epoch and mapping.time_format:
        raise Unusable("--epoch and --time-format are both given", "Pass --epoch for numbers, --time-format for text")
    layout = Layout(format_name if format_name in FORMATS else "", delimiter, encoding, columns)
    if not format_name or layout.format:
        return layout, mapping, None
    preset = preset_of(format_name, kind)
    return *with_preset(preset, layout, mapping), preset
