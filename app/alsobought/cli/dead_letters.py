"""`alsobought dead-letters`: list, show and replay the Kafka messages that could not be decoded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table

from alsobought.cli.audited import audited
from alsobought.cli.message_text import message_text, printable
from alsobought.console import err, escaped, out, progress_bar
from alsobought.errors import AlsoboughtError, Unusable
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.kafka.dead_letter_replay import ReplayReport
    from alsobought.kafka.dead_letters import StoredDeadLetter
    from alsobought.storage.warehouse import Warehouse

TIMES = "\N{MULTIPLICATION SIGN}"
MAX_KINDS = 10
MAX_REJECTED_SHOWN = 20
REASON_WIDTH = 72


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show and replay Kafka messages that could not be decoded to an event or item.

    \b
    Example: alsobought dead-letters ls
    """


@dead_letters.command("ls")
@click.option("--reason", default="", metavar="TEXT", help="Only those with this text in their reason.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000), help="At most this many.")
@click.option("--all", "everything", is_flag=True, help="Include those that were replayed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, with the message body.")
@click.pass_obj
def list_dead_letters(settings: Settings, reason: str, limit: int, everything: bool, as_json: bool) -> None:
    """List dead letters, newest first, and the number of each reason.

    \b
    Example: alsobought dead-letters ls --reason event_type
    """
    from alsobought.kafka.dead_letters import DeadLetterFilter, count_by_reason, newest_dead_letters
    from alsobought.service.ipc_client import reach_warehouse

    matching = DeadLetterFilter(reason, everything)
    with closing(reach_warehouse(settings, create=False)) as warehouse:
        letters = newest_dead_letters(warehouse, matching, limit)
        counts = [] if as_json else count_by_reason(warehouse, matching)
    if as_json:
        for letter in letters:
            # `place` is the deprecated name of `coordinates`
            click.echo(msgspec.json.encode({**msgspec.to_builtins(letter), "place": letter.coordinates}))
    elif letters:
        out.print(_table(letters, replayed=everything))
        _print_counts(counts, len(letters))
    else:
        out.print(_empty_list(reason, everything=everything))


def _table(letters: list[StoredDeadLetter], *, replayed: bool) -> Table:
    table = Table("coordinates", "noted", "reason", box=None, header_style="bold")
    table.columns[0].overflow = "fold"  # never shortened, so that coordinates can be copied
    table.add_column("bytes", justify="right")
    if replayed:
        table.add_column("replayed")
    for letter in letters:
        cells = [letter.coordinates, _time(letter.noted_at), _short(letter.reason), f"{letter.size:,}"]
        if replayed:
            cells.append(_time(letter.replayed_at))
        table.add_row(*map(escaped, cells))
    return table


def _print_counts(counts: list[tuple[str, int]], shown: int) -> None:
    total = sum(count for _, count in counts)
    out.print(f"{shown:,} of {total:,} dead letters" if shown < total else f"{total:,} dead letters")
    for kind, count in counts[:MAX_KINDS]:
        out.print(f"{count:8,} {TIMES} {escaped(_short(kind))}", soft_wrap=True)
    if rest := counts[MAX_KINDS:]:
        out.print(f"{sum(count for _, count in rest):8,} {TIMES} {len(rest):,} other reasons")


def _empty_list(reason: str, *, everything: bool) -> str:
    hint = "" if everything else "; --all includes those that were replayed"
    if reason:
        return f"No dead letter has {escaped(printable(repr(reason)))} in its reason{hint}"
    return f"There are no dead letters: every message that was read became an event or an item{hint}"


@dead_letters.command("show")
@click.argument("coordinates")
@click.option("--raw", is_flag=True, help="Only the original bytes, to be corrected and sent again.")
@click.pass_obj
def show_dead_letter(settings: Settings, coordinates: str, raw: bool) -> None:
    """Show a dead letter: the reason and the message.

    COORDINATES are topic/partition/offset. If the topic was deleted and created again, they refer to the
    topic that was read last; `ls` shows the dead letters of an older one with their source,
    kafka:events:<topic ID>/3/1042.

    \b
    Example: alsobought dead-letters show events/3/1042
             alsobought dead-letters show events/3/1042 --raw | sed s/buy/purchase/ | curl -d @- 127.0.0.1:8080/events
    """
    from alsobought.kafka.dead_letters import dead_letter_at
    from alsobought.kafka.schema_registry import schema_id
    from alsobought.service.ipc_client import reach_warehouse

    with closing(reach_warehouse(settings, create=False)) as warehouse:
        letter = dead_letter_at(warehouse, coordinates)
    if raw:
        sys.stdout.buffer.write(letter.message)
        return
    lines = {
        "coordinates": letter.coordinates,
        "source": letter.source,
        "noted": _time(letter.noted_at),
        "replayed": _time(letter.replayed_at) or "not yet",
        "bytes": f"{letter.size:,}",
        "reason": printable(letter.reason),
    }
    if (number := schema_id(letter.message)) is not None:
        lines["schema"] = f"{number} of the schema registry"
    for name, value in lines.items():
        out.print(f"[bold]{name:12}[/]{escaped(value)}", soft_wrap=True)
    out.print()
    out.print(escaped(message_text(_decoded(letter.message, settings))), soft_wrap=True)


def _decoded(message: bytes, settings: Settings) -> bytes:
    """The JSON of a message with a schema, if the registry has that now; else its bytes."""
    from alsobought.kafka.schema_registry import json_reader

    try:
        body = json_reader(settings, patient=False)(message)
    except AlsoboughtError:
        return message
    return body if isinstance(body, bytes) else message


@dead_letters.command("replay")
@click.argument("coordinates", nargs=-1, metavar="[COORDINATES]...")
@click.option("--reason", default="", metavar="TEXT", help="Those with this text in their reason.")
@click.option("--all", "everything", is_flag=True, help="All that were not replayed yet.")
@click.option("--dry-run", is_flag=True, help="Decode them, store nothing.")
@click.pass_obj
def replay_dead_letters(
    settings: Settings, coordinates: tuple[str, ...], reason: str, everything: bool, dry_run: bool
) -> None:
    """Decode dead letters again by the present rules and settings, and store those that can be decoded.

    An event is stored at its original coordinates, so it counts once however often it is replayed;
    one without a timestamp gets the time of the replay. An item does not replace one that was stored
    later. The others stay dead letters.

    Exit status 0 if all were replayed, 1 if some still cannot be decoded.

    \b
    Example: ALSOBOUGHT_EVENT_TYPES=buy alsobought dead-letters replay --reason "event_type: 'buy'"
             alsobought dead-letters replay events/3/1042 events/3/1043
             alsobought dead-letters replay --all --dry-run
    """
    from alsobought.kafka.dead_letter_replay import ReplayReport, decode_again, replay
    from alsobought.pipes.intake_rules import intake_rules
    from alsobought.service.ipc_client import reach_service, reach_warehouse
    from alsobought.writer.submission import utc_now

    if bool(coordinates) + bool(reason) + everything != 1:
        raise Unusable("choose the dead letters: coordinates, --reason TEXT or --all", "Pass one of the three")
    rules = intake_rules(settings, utc_now())
    service: Any = None if dry_run else reach_service(settings)
    warehouse = reach_warehouse(settings, create=False) if dry_run else service.warehouse
    total, rejected = ReplayReport(), 0

    def print_rejected(letter: StoredDeadLetter, problem: str) -> None:
        nonlocal rejected
        rejected += 1
        if rejected <= MAX_REJECTED_SHOWN:
            err.print(f"{escaped(letter.coordinates)}: {escaped(printable(problem))}", soft_wrap=True)

    with closing(service or warehouse), ExitStack() as stack:
        pages, count = _chosen(warehouse, coordinates, reason)
        if service and count:
            stack.enter_context(audited(warehouse, "dead_letters.replay", letters=count))
        with progress_bar(err, "replay", count, "letters") as advance:
            for page in pages:
                if service:
                    total.add(replay(service.writer, page, rules, print_rejected))
                else:
                    decoded, undecodable = decode_again(page, rules, settings)
                    for letter, problem in undecodable:
                        print_rejected(letter, problem)
                    letters = sum(len(partition.letters) for partition in decoded)
                    rows = sum(len(partition.rows) for partition in decoded)
                    total.add(ReplayReport(letters, rows, rejected=len(undecodable)))
                advance(len(page))
    if rejected > MAX_REJECTED_SHOWN:
        err.print(f"… and {rejected - MAX_REJECTED_SHOWN:,} more that still cannot be decoded")
    _print_report(total, dry_run=dry_run)
    if total.rejected:
        sys.exit(1)


def _chosen(
    warehouse: Warehouse, coordinates: tuple[str, ...], reason: str
) -> tuple[Iterator[list[StoredDeadLetter]], int]:
    """The chosen dead letters in pages, and their number.

    Raises Unusable for coordinates without one.
    """
    from alsobought.kafka.dead_letters import DeadLetterFilter, dead_letter_at, find_keys, read_pages

    if coordinates:
        letters = {dead_letter_at(warehouse, text) for text in coordinates}
        in_order = sorted(letters, key=lambda letter: (letter.source, letter.partition, letter.offset))
        return iter([in_order]), len(letters)
    matching = DeadLetterFilter(reason)
    keys = find_keys(warehouse, matching)
    return read_pages(warehouse, matching, keys), len(keys)


def _print_report(total: ReplayReport, *, dry_run: bool) -> None:
    letters = total.replayed + total.rejected
    if not letters:
        out.print("There is nothing to replay")
        return
    would = "would be " if dry_run else ""
    text = f"{total.replayed:,} of {letters:,} dead letters {would}replayed: {total.stored:,} events and items {would}stored"
    if not dry_run:
        text += f", {total.duplicates:,} duplicates"
    if total.superseded:
        text += f", {total.superseded:,} items superseded by newer ones"
    if total.rejected:
        text += f"; {total.rejected:,} still cannot be decoded"
    out.print(text, soft_wrap=True)


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def _short(reason: str) -> str:
    """A reason that fits in a line: lists are left out."""
    head, listed, _ = printable(reason).partition(" is not one of ")
    text = f"{head}{listed}…" if listed else head
    return text if len(text) <= REASON_WIDTH else f"{text[: REASON_WIDTH - 1]}…"
