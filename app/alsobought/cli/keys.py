"""`alsobought key`: create, list, revoke and rotate the keys of the HTTP service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from alsobought.cli.audited import audited
from alsobought.console import ago, err, escaped, out, print_json
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.access.keys import Key
    from alsobought.storage.warehouse import Warehouse

SOON = timedelta(days=14)
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _duration(_: click.Context, param: click.Parameter, text: str | None) -> timedelta | None:
    """The value of `90d`, `24h` or `30m`."""
    if text is None:
        return None
    if not (parts := re.fullmatch(r"(\d{1,5})([mhd])", text)):
        raise click.BadParameter(f"{text!r} is not a duration: write 90d, 24h or 30m", param=param)
    return timedelta(**{UNITS[parts[2]]: int(parts[1])})


@click.group("key")
def key() -> None:
    """Create, list, revoke and rotate the keys of the HTTP service.

    \b
    Example: alsobought key create shop-page --browser --origin https://shop.example
    """


@key.command("create")
@click.argument("name")
@click.option(
    "--role", default="", help="analyst (asks every pipe, edits pipes in the workbench) or admin (everything)."
)
@click.option("--scope", "scopes", multiple=True, help="What it may do; repeat it. `pipes:read:NAME` is one pipe.")
@click.option("--browser", is_flag=True, help="A public key for web pages: public pipes and events only.")
@click.option("--origin", "origins", multiple=True, help="With --browser: the pages it works on; repeat it.")
@click.option(
    "--expires", callback=_duration, metavar="DURATION", help="Its lifetime: 90d, 24h; default: it does not expire."
)
@click.option("--rate", default="", help="Its limit, such as 600/minute; of a browser key, for each address.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def key_create(
    settings: Settings,
    name: str,
    role: str,
    scopes: tuple[str, ...],
    browser: bool,
    origins: tuple[str, ...],
    expires: timedelta | None,
    rate: str,
    as_json: bool,
) -> None:
    """Create a key and print it. It is shown this once: only its hash is stored.

    Scopes are pipes:read, pipes:read:NAME, events:write, items:read, items:write, users:read, users:write, metrics, edit and
    admin, which includes all. A role is a bundle of scopes for a person, to which --scope adds others. A browser key has
    pipes:read and events:write if you name none. A running service knows the key at once.

    \b
    Example: alsobought key create ada --role analyst
             alsobought key create shop-backend --scope pipes:read --scope events:write --expires 90d
             alsobought key create shop-page --browser --origin https://shop.example
             alsobought key create prometheus --scope metrics
    """
    from alsobought.access.keys import NewKey, make_key, store_key
    from alsobought.access.roles import scopes_of
    from alsobought.pipes.library import is_name
    from alsobought.pipes.text_files import list_files

    pipes = [path.stem for path in list_files(settings.home_folder / "pipes") if is_name(path.stem)]
    if role:
        scopes = tuple({*scopes, *scopes_of(role)})
    wanted = NewKey(name=name, scopes=scopes, browser=browser, origins=origins, expires=expires, rate=rate)
    checked = wanted.checked(pipes)
    with _warehouse(settings, create=True) as warehouse:
        text, made = make_key(checked, datetime.now(UTC))
        with audited(warehouse, "key.create", f"key {made.key_id}", **_rights(made)):
            store_key(warehouse, made)
    _print_new(text, made, as_json=as_json)


@key.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def key_ls(settings: Settings, as_json: bool) -> None:
    """List the keys, with revoked and expired ones. Their last use is known to the hour.

    \b
    Example: alsobought key ls
    """
    from alsobought.access.keys import NO_TIME, all_keys
    from alsobought.access.roles import described

    with _warehouse(settings) as warehouse:
        keys = all_keys(warehouse)
    now = datetime.now(UTC)
    if as_json:
        print_json([_as_json(one, now) for one in keys])
        return
    if not keys:
        out.print("no keys; create one with `alsobought key create NAME --scope …`")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "last use", "state", "may"):
        table.add_column(column, no_wrap=column in ("id", "last use", "state"))
    for one in keys:
        used = ago((now - one.used_at).total_seconds()) if one.used_at > NO_TIME else "never"
        places = f" on {', '.join(one.origin_list)}" if one.origins else ""
        rights = f"{described(one.scope_set)}{places}{f', {one.rate}' if one.rate else ''}"
        table.add_row(one.key_id, escaped(one.name), used, _state(one, now), escaped(rights))
    out.print(table)


@key.command("revoke")
@click.argument("key_id", metavar="ID")
@click.pass_obj
def key_revoke(settings: Settings, key_id: str) -> None:
    """Revoke a key, by its id or its name, and the tokens that it issued. A running service refuses it within two seconds.

    \b
    Example: alsobought key revoke k3v9x0q2ma
    """
    from alsobought.access.keys import find_key, revoke_key

    with _warehouse(settings) as warehouse:
        old = find_key(warehouse, key_id)
        with audited(warehouse, "key.revoke", f"key {old.key_id}", name=old.name):
            revoke_key(warehouse, old, datetime.now(UTC))
    out.print(f"revoked {old.key_id} ({escaped(old.name)})")


@key.command("rotate")
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap",
    callback=_duration,
    default="24h",
    show_default=True,
    metavar="DURATION",
    help="For so long the old one works, too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def key_rotate(settings: Settings, key_id: str, overlap: timedelta, as_json: bool) -> None:
    """Replace a key by a new one with the same rights and lifetime, and print it. The old one expires after the overlap.

    \b
    Example: alsobought key rotate shop-backend --overlap 2h
    """
    from alsobought.access.keys import find_key, rotate_key

    with _warehouse(settings) as warehouse:
        old = find_key(warehouse, key_id)
        with audited(warehouse, "key.rotate", f"key {old.key_id}", name=old.name, overlap=overlap) as recorded:
            text, made = rotate_key(warehouse, old, overlap, datetime.now(UTC))
            recorded["new_key"] = made.key_id
    _print_new(text, made, as_json=as_json)
    err.print(f"{old.key_id}, the old one, works until {datetime.now(UTC) + overlap:%Y-%m-%d %H:%M} UTC.")


@contextmanager
def _warehouse(settings: Settings, *, create: bool = False) -> Iterator[Warehouse]:
    """The warehouse with the table of the keys; with `create` an embedded one is made if there is none."""
    from alsobought.service.ipc_client import is_reachable, reach_service, reach_warehouse

    if create and settings.warehouse_dsn.startswith("chdb:") and not is_reachable(settings):
        reach_service(settings).close()  # makes and migrates it
    warehouse = reach_warehouse(settings, create=False)
    try:
        yield warehouse
    finally:
        warehouse.close()


def _print_new(text: str, made: Key, *, as_json: bool) -> None:
    if as_json:
        print_json({"key": text, **_as_json(made, datetime.now(UTC))})
        return
    click.echo(text)
    from alsobought.access.roles import described

    err.print(f"{made.key_id} ({escaped(made.name)}): {escaped(described(made.scope_set))}", soft_wrap=True)
    if made.kind == "browser":
        err.print("Put it into your pages: everybody may know it.", soft_wrap=True)
    else:
        err.print("It is not shown again. Keep it out of pages, URLs and repositories.", soft_wrap=True)


def _rights(one: Key) -> dict[str, Any]:
    from alsobought.access.roles import role_of

    return {
        "name": one.name,
        "kind": one.kind,
        "role": role_of(one.scope_set) or None,
        "scopes": one.scopes.split(),
        "origins": list(one.origin_list),
        "rate": one.rate or None,
    }


def _as_json(one: Key, now: datetime) -> dict[str, Any]:
    from alsobought.access.keys import NEVER, NO_TIME

    return {
        "id": one.key_id,
        **_rights(one),
        "created_at": one.created_at,
        "used_at": one.used_at if one.used_at > NO_TIME else None,
        "expires_at": one.expires_at if one.expires_at < NEVER else None,
        "state": one.state(now),
    }


def _state(one: Key, now: datetime) -> str:
    from alsobought.access.keys import NEVER

    state = one.state(now)
    if state != "valid":
        return f"[red]{state}[/]"
    if one.expires_at == NEVER:
        return "[green]valid[/]"
    colour = "yellow" if one.expires_at - now < SOON else "green"
    return f"[{colour}]until {one.expires_at:%Y-%m-%d}[/]"
