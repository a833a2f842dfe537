"""`alsobought why`: why a user saw a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from alsobought.cli.audited import audited
from alsobought.cli.warehouse import existing_warehouse
from alsobought.console import escaped, out, print_json
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.pipes.shop_rules import ShopRule
    from alsobought.serving.why import Shown, Why

MAX_RULES = 10  # printed


@click.command()
@click.argument("id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def why(settings: Settings, id: str, as_json: bool) -> None:  # noqa: A002 - the name of the argument
    """Explain a list that a user saw, by its request_id or recommendation_id.

    Prints what was asked and answered, the shop's rules about its items, what users did with them
    later, and the answer to the same request now.

    \b
    Example: alsobought why fddfb04eafd94fe7
    """
    from alsobought.recommendation_ids import recommendation_ids
    from alsobought.serving.answers import open_library
    from alsobought.serving.why import Explainer
    from alsobought.storage.folder_lock import folder_of
    from alsobought.storage.identities import user_key
    from alsobought.surfaces.live import LiveSurfaces
    from alsobought.writer.submission import utc_now

    with existing_warehouse(settings) as warehouse:
        ids = recommendation_ids(settings, folder_of(settings.warehouse_dsn), embedded=warehouse.embedded)
        library = open_library(settings, warehouse)
        layout = LiveSurfaces(settings.home_folder, library).current()
        explainer = Explainer(warehouse, library, ids, settings, layout)
        rows = explainer.find(id, utc_now())
        users = [f"user {user_key(warehouse, user)}" for user in rows[0].users]
        with audited(warehouse, "request.explain", " ".join([f"request {rows[0].request_id}", *users])):
            explained = explainer.why(rows)
    if as_json:
        print_json(explained)
    else:
        _print(explained)


def _print(why: Why) -> None:
    for name, value in _facts(why):
        out.print(f"[dim]{name:15}[/] {escaped(value)}", soft_wrap=True)
    out.print()
    if why.items:
        _print_shown(why)
    else:
        out.print("Nothing was shown: the variant is a holdout." if why.holdout else "Nothing was shown.")
    _print_rules(why)
    if not why.holdout:
        _print_again(why)
    for other in why.others:
        name = " ".join(filter(None, ["shadow" if other.shadow else "", other.surface, other.pipe]))
        out.print(f"[dim]also answered[/]   {escaped(name)}: alsobought why {other.recommendation_id}", soft_wrap=True)


def _facts(why: Why) -> list[tuple[str, str]]:
    row = why.request
    same = "" if why.again.same_version else f", now {why.again.version or 'gone'}"
    parameters = " ".join(f"{name}={value}" for name, values in (row.parameters or {}).items() for value in values)
    facts = [
        ("time", f"{row.time:%Y-%m-%d %H:%M:%S} UTC"),
        ("surface", row.surface),
        ("pipe", f"{row.pipe}, version {row.version}{same}"),
        ("variant", f"{row.variant} of {row.experiment}, drawn for {row.unit}" if row.experiment else ""),
        ("parameters", parameters or ("none" if row.parameters is not None else "too long to be recorded")),
        ("filled by", row.fallback),
        ("shadow of", row.shadow_of and f"{row.shadow_of}: nobody saw this list"),
        ("error", row.error and f"{row.error}, status {row.status}"),
        ("answered from", "the cache" if row.cached else ""),
        ("request", row.request_id),
        ("recommendation", row.recommendation_id),
    ]
    return [(name, value) for name, value in facts if value]


def _print_shown(why: Why) -> None:
    reasons = {item.item_id: item.reason for item in why.again.items}
    out.print("[dim]shown    now[/]")
    for item in why.items:
        out.print(
            f"{item.position:5}  {_position(item.again, why)}  {escaped(item.title or item.item_id)}", soft_wrap=True
        )
        rules = [_action(rule) for rule in why.rules if rule.line in item.rules]
        team = f"picked by {item.team}" if item.team else ""
        details = [item.source, team, *_numbers(item), *rules, reasons.get(item.item_id, "")]
        out.print(f"{'':15}[dim]{escaped(', '.join(filter(None, details)))}[/]", soft_wrap=True)
        if item.later:
            out.print(f"{'':15}{_later(item)}", soft_wrap=True)


def _position(position: int | None, why: Why) -> str:
    return f"{position:6}" if position else ("     ?" if why.again.problem else "  [yellow]gone[/]")


def _numbers(item: Shown) -> list[str]:
    score = [] if item.score is None else [f"score {item.score:.4g}"]
    return score if item.propensity in (None, 1) else [*score, f"propensity {item.propensity:.4g}"]


def _action(rule: ShopRule) -> str:
    verb = {"pin": "pinned to", "boost": "boosted by", "hide": "hidden"}[rule.action]
    return f"{verb} {rule.value:g}" if rule.value is not None else verb


def _later(item: Shown) -> str:
    return ", ".join(
        f"{event_type} {event['time']:%d %b %H:%M}{'' if event['linked'] else ' without the id'}"
        for event_type, event in item.later.items()
    )


def _print_rules(why: Why) -> None:
    if why.rules_changed:
        out.print("[yellow]sql/rules.csv was saved since: the rules are those of now.[/]")
    hidden = [rule for rule in why.rules if rule.action == "hide"]
    for rule in hidden[:MAX_RULES]:
        out.print(f"[dim]hidden here[/]     {escaped(rule.item_id or rule.category)} (rules.csv:{rule.line})")
    if len(hidden) > MAX_RULES:
        out.print(f"[dim]hidden here[/]     and {len(hidden) - MAX_RULES:,} more")


def _print_again(why: Why) -> None:
    again = why.again
    out.print()
    if not again.same_version:
        out.print("[yellow]The text of the pipe, its macros or its CSV files have changed since.[/]", soft_wrap=True)
    if again.problem:
        out.print(f"[yellow]It cannot be asked again:[/] {escaped(again.problem)}", soft_wrap=True)
        return
    moved = (
        f"the counts have moved on by {again.events_since:,} events" if again.events_since else "no event came since"
    )
    verdict = "the list differs" if again.differs else "the list is the same"
    out.print(f"Asked again with the clock of then: {verdict}; {moved}.", soft_wrap=True)
    new = [item for item in again.items if item.was is None]
    for item in new:
        reason = f"  [dim]{escaped(item.reason)}[/]" if item.reason else ""
        out.print(f"  [green]new at {item.position}[/]  {escaped(item.title or item.item_id)}{reason}", soft_wrap=True)
