"""Write the reference pages that are made from the code: commands, settings, metrics, tables, standard pipes.

    make docs                                    write them
    .venv/bin/python -m docs.generate --check    exit status 1 if one is out of date

A page is either generated whole or between two marks, `<!-- NAME: … -->` and `<!-- /NAME -->`; the rest is written by hand.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock

import click
import yaml
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase

from alsobought.cli.main import main as alsobought
from alsobought.loading.presets import Preset, presets
from alsobought.settings import PREFIX, RENAMED, Settings, descriptions
from alsobought.web.metrics import Metrics
from supply_chain.licences import recorded
from supply_chain.locks import DEVELOPMENT, SERVICE, locked

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "commands": "docs/reference/cli.md",
    "settings": "docs/reference/settings.md",
    "renamed": "docs/reference/settings.md",
    "metrics": "docs/reference/metrics.md",
    "alerts": "docs/how-to/monitor.md",
    "tables": "docs/reference/tables.md",
    "pipes": "docs/reference/standard-pipes.md",
    "presets": "docs/how-to/load.md",
    "licences": "docs/reference/licences.md",
}
WIDTH = 100


def commands(
    group: click.Group = alsobought, path: tuple[str, ...] = ("alsobought",)
) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, as `("alsobought pipe new", command)`, in the order of `--help`."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield " ".join((*path, name)), command
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def commands_part() -> str:
    """A list of all commands, then a section for each with its help and its options."""
    found = list(commands())
    lines = ["| command | |", "|---|---|"]
    for name, command in found:
        short = command.get_short_help_str(limit=200)
        lines.append(f"| [`{name}`](#{name.replace(' ', '-')}) | {_cell(short)} |")
    for name, command in found:
        lines += ["", f"## {name}", "", *_section(name, command)]
    return "\n".join(lines)


def _section(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH)
    usage = command.get_usage(context).removeprefix("Usage: ").split()
    prose, _, example = _dedent(command.help or "").partition("\b\nExample: ")
    yield from ("```", " ".join(usage), "```", "")
    for paragraph in filter(None, prose.strip().split("\n\n")):
        yield from (textwrap.fill(" ".join(paragraph.split()), WIDTH, break_long_words=False), "")
    if example:
        yield from ("```console", *(f"$ {line.strip()}" for line in example.strip().splitlines()), "```", "")
    records = [one.get_help_record(context) for one in command.params if isinstance(one, click.Option)]
    options = [record for record in records if record and "--help" not in record[0]]
    if options:
        yield from ("| option | |", "|---|---|")
        for option, sentence in options:
            escaped = option.replace("|", "\\|")
            yield f"| `{escaped}` | {_cell(sentence)} |"
    else:
        yield "No options."


def _dedent(text: str) -> str:
    first, _, rest = text.partition("\n")
    return "\n".join([first, *(line.strip() for line in rest.splitlines())])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def settings_part() -> str:
    defaults = Settings()
    lines = ["| variable | default | |", "|---|---|---|"]
    for name, sentence in descriptions().items():
        value = getattr(defaults, name)
        default = "" if name == "home" else str(value).lower() if isinstance(value, bool) else str(value)
        lines.append(f"| `{PREFIX}{name.upper()}` | {f'`{default}`' if default else ''} | {sentence} |")
    return "\n".join(lines)


def renamed_part() -> str:
    lines = ["| old name | name |", "|---|---|"]
    lines += [f"| `{PREFIX}{old.upper()}` | `{PREFIX}{new.upper()}` |" for old, new in RENAMED.items()]
    return "\n".join(lines)


def metric_families() -> list[Metric]:
    """What `Metrics` registers and what its collectors yield, asked with stand-ins for the service and its monitors."""
    made = Metrics(MagicMock(), MagicMock(), MagicMock())
    labels = {one._name: one._labelnames for one in vars(made).values() if isinstance(one, MetricWrapperBase)}
    families = sorted(made._registry.collect(), key=lambda one: one.name)
    for family in families:
        family._labelnames = labels.get(family.name, label_names(family))  # type: ignore[attr-defined]
    return families


def label_names(family: Metric) -> tuple[str, ...]:
    return tuple(getattr(family, "_labelnames", ()))


def metrics_part() -> str:
    lines = ["| metric | type | labels | |", "|---|---|---|---|"]
    for family in metric_families():
        names = label_names(family)
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        lines.append(
            f"| `{name}` | {family.type} | {', '.join(f'`{one}`' for one in names)} | {family.documentation} |"
        )
    return "\n".join(lines)


def alerts_part() -> str:
    """Each alert with what it means and what to do, from the rules for Prometheus."""
    (group,) = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"]
    lines = ["| alert | | means | then |", "|---|---|---|---|"]
    for rule in group["rules"]:
        summary, action = (re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", text) for text in rule["annotations"].values())
        lines.append(f"| `{rule['alert']}` | {rule['labels']['severity']} | {_cell(summary)} | {_cell(action)} |")
    return "\n".join(lines)


def tables_part() -> str:
    """Each table and dictionary of sql/schema/ with the reasons of its migrations; a view is named at the table it feeds."""
    folder = ROOT / "sql" / "schema"
    texts = {path.stem: path.read_text() for path in sorted(folder.glob("*.sql"))}
    views: dict[str, list[str]] = {}
    for name, text in texts.items():
        if to := re.search(r"^CREATE MATERIALIZED VIEW \w+ TO (\w+)", text, re.M):
            views.setdefault(to[1], []).append(f"`{name}`")
    lines = ["| table | fed by | rows |", "|---|---|---|"]
    for name, text in texts.items():
        if re.search(r"^CREATE MATERIALIZED VIEW", text, re.M):
            continue
        head = text.partition("\nCREATE ")[0].splitlines()[2:]
        reasons = [line.removeprefix("--").strip() for line in head if not re.match(r"-- \d{4}_\w+$", line)]
        link = f"[`{name}`](../../sql/schema/{name}.sql)"
        fed_by = "dictionary" if "CREATE DICTIONARY" in text else ", ".join(views.get(name, []))
        lines.append(f"| {link} | {fed_by} | {_cell(' '.join(reasons))} |")
    return "\n".join(lines)


def pipes_part() -> str:
    """Each pipe with the first sentence of its header."""
    lines = ["| pipe | |", "|---|---|"]
    for path in sorted((ROOT / "pipes").glob("*.sql")):
        prose = " ".join(re.findall(r"^-- (.*)", path.read_text().partition("\n--\n")[0], re.M))
        sentence = re.split(r"(?<=[.!?]) ", prose, maxsplit=1)[0]
        lines.append(f"| [`{path.stem}`](../../pipes/{path.name}) | {_cell(sentence)} |")
    return "\n".join(lines)


def presets_part() -> str:
    """Each preset with its command, and what becomes of which column."""
    lines = ["| source | command | what is mapped |", "|---|---|---|"]
    for preset in presets():
        command = f"alsobought load {preset.kind} FILE --format {preset.name}"
        lines.append(f"| {_cell(preset.title)} | `{command}` | {_cell(' '.join(_mapped(preset)))} |")
    return "\n".join(lines)


def _mapped(preset: Preset) -> Iterator[str]:
    flags = preset.columns
    own = [name for name in preset.layout.columns if name not in flags.mapped]
    fields = [
        f"`{name}` from {' or '.join(f'`{one}`' for one in text.split('|'))}" for name, text in flags.mapped.items()
    ]
    fields += [f"`{name}` is `{value}`" for name, value in flags.constants.items()]
    fields += [f"`{name}` as it is" for name in own]
    yield "; ".join(fields) + "."
    for name, values in flags.values.items():
        old_values = {new: [f"`{old}`" for old in values if values[old] == new] for new in values.values()}
        pairs = [f"{', '.join(old)} → {f'`{new}`' if new else 'not given'}" for new, old in old_values.items()]
        yield f"Values of `{name}`: {'; '.join(pairs)}."
    if flags.each:
        yield f"One row for each of `{flags.each}`, if there is such a list."
    if flags.where:
        yield "Only rows with " + " and ".join(f"`{condition}`" for condition in flags.where) + "."
    if preset.note:
        yield preset.note


def licences_part() -> str:
    """Each locked package with its licence, and whether a service installs it or only who develops it."""
    known, service = recorded(), locked(SERVICE)
    lines = ["| package | licence | installed by |", "|---|---|---|"]
    for name in sorted(locked(SERVICE, DEVELOPMENT), key=lambda one: (one not in service, one)):
        extra = f": {reason.partition(': ')[2]}" if (reason := known.exceptions.get(name)) else ""
        by = "a service" if name in service else "development, extras"
        lines.append(f"| {name} | {known.packages[name]} | {by}{extra} |")
    return "\n".join(lines)


PARTS = {
    "presets": presets_part,
    "commands": commands_part,
    "settings": settings_part,
    "renamed": renamed_part,
    "metrics": metrics_part,
    "alerts": alerts_part,
    "tables": tables_part,
    "pipes": pipes_part,
    "licences": licences_part,
}


def fresh(part: str, text: str) -> str:
    """The text of a page with this part made again."""
    mark = re.compile(rf"(<!-- {part}: .*?-->\n).*?(\n<!-- /{part} -->)", re.DOTALL)
    made, times = mark.subn(lambda found: found[1] + PARTS[part]() + found[2], text)
    if times != 1:
        raise SystemExit(f"{PAGES[part]} needs the marks of {part} once")
    return made


def stale() -> dict[Path, str]:
    """The pages that are out of date, each with the text it should have."""
    texts: dict[Path, str] = {}
    for part, name in PAGES.items():
        path = ROOT / name
        texts[path] = fresh(part, texts.get(path) or path.read_text())
    return {path: text for path, text in texts.items() if text != path.read_text()}


if __name__ == "__main__":
    out_of_date = stale()
    for path, text in out_of_date.items():
        if "--check" in sys.argv[1:]:
            sys.stderr.write(f"{path.relative_to(ROOT)} is out of date: run `make docs`\n")
        else:
            path.write_text(text)
    sys.exit(bool(out_of_date) and "--check" in sys.argv[1:])
