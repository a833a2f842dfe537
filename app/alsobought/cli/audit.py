"""`alsobought audit`: who changed what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table

from alsobought.cli.warehouse import existing_warehouse
from alsobought.console import escaped, out, print_json
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.access.audit import Entry

COLOURS = {"done": "green", "failed": "red", "": "yellow"}
MAX_SHOWN = 120  # characters of a detail in the list


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
    """List the entries of the audit log, newest first.

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
    table = Table(box=None, pad_edge=False)
    for column in ("time (UTC)", "who", "what", "outcome", "detail"):
        table.add_column(column, no_wrap=column in ("time (UTC)", "outcome"), overflow="fold")
    for entry in listed:
        table.add_row(f"{entry.time:%Y-%m-%d %H:%M:%S}", escaped(_who(entry)), *_what(entry))
    out.print(table)


def _who(entry: Entry) -> str:
    name = f" ({entry.actor_name})" if entry.actor_name else ""
    where = f" at {entry.address}" if entry.address else ""
    return f"{entry.actor or 'no key'}{name}, {entry.via}{where}"


def _what(entry: Entry) -> tuple[str, str, str]:
    times = f" × {entry.times:,}" if entry.times > 1 else ""  # noqa: RUF001
    outcome = f"[{COLOURS[entry.outcome]}]{entry.outcome or 'begun'}[/]"
    detail = " ".join(f"{name}={_short(value)}" for name, value in entry.detail.items() if value not in ("", None, []))
    shown = detail if len(detail) <= MAX_SHOWN else f"{detail[:MAX_SHOWN]}…"
    return escaped(f"{entry.action} {entry.object}{times}"), outcome, escaped(shown)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return " ".join(str(value).split())
