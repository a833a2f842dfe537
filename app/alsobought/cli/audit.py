"""`alsobought audit`: who changed what."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from alsobought.cli.warehouse import existing_warehouse
from alsobought.console import escaped, out, print_json
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.access.audit import Entry

COLOURS = {"done": "green", "failed": "red", "": "yellow"}
MAX_SHOWN = 160  # characters of a detail in the list


@click.group("audit")
def audit() -> None:
    """Show who changed what: keys, tokens, pipes, users, the catalogue, migrations, logins.

    \b
    Example: alsobought audit ls --since 7d
    """


@audit.command("ls")
@click.option("--since", default="", metavar="TIME", help="From this time on: 7d, 24h, 30m or 2026-03-01.")
@click.option("--actor", default="", help="Of this key or user of the machine, by id, name or address.")
@click.option("--action", default="", help="This action, such as key.create, or `key` for all of keys.")
@click.option("--user", default="", metavar="USER_ID", help="About this user, whom the log knows by a hash.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all details.")
@click.pass_obj
def audit_ls(settings: Settings, since: str, actor: str, action: str, user: str, limit: int, as_json: bool) -> None:
    """List the entries of the audit log, newest first. Times are in UTC.

    An entry is stored before its action. `begun` means that its end is not known: the process was
    killed, or it runs still.

    \b
    Example: alsobought audit ls --since 7d --action key
             alsobought audit ls --user ada --json
    """
    from alsobought.access.audit_reading import Filter, entries, read_since

    now = datetime.now(UTC)
    wanted = Filter(since=read_since(since, now) if since else None, actor=actor, action=action, user=user, limit=limit)
    with existing_warehouse(settings) as warehouse:
        listed = entries(warehouse, wanted)
    if as_json:
        print_json([msgspec.structs.asdict(entry) for entry in listed])
        return
    if not listed:
        out.print("no entries")
        return
    for entry in listed:
        out.print(_first_line(entry), soft_wrap=True)
        out.print(f"    {escaped(_line(_who(entry)))}", soft_wrap=True, style="dim")
        if detail := _detail(entry):
            out.print(f"    {escaped(_line(detail))}", soft_wrap=True, style="dim")


def _first_line(entry: Entry) -> str:
    outcome = f"[{COLOURS[entry.outcome]}]{entry.outcome or 'begun':6}[/]"
    times = f", {entry.times:,} times" if entry.times > 1 else ""
    return f"{entry.time:%Y-%m-%d %H:%M:%S}  {outcome}  {escaped(_line(f'{entry.action} {entry.object}'))}{times}"


def _who(entry: Entry) -> str:
    name = f" ({entry.actor_name})" if entry.actor_name else ""
    where = f" at {entry.address}" if entry.address else ""
    return f"{entry.actor or 'no key'}{name}, {entry.via}{where}"


def _detail(entry: Entry) -> str:
    detail = " ".join(f"{name}={_short(value)}" for name, value in entry.detail.items() if value not in ("", None, []))
    return detail if len(detail) <= MAX_SHOWN else f"{detail[:MAX_SHOWN]}…"


def _line(text: str) -> str:
    """A text that neither breaks the line, as if it were another entry, nor commands the terminal.

    >>> _line("item tea\\n\\x1b[2Jdone"), _line("a  \\u202eb")
    ('item tea �[2Jdone', 'a �b')
    """
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    text = " ".join(str(value).split())
    return text[:12] if re.fullmatch("[0-9a-f]{64}", text) else text
