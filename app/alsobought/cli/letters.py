"""`alsobought dead-letters …`: what Kafka sent and nothing could be made of."""

from __future__ import annotations

import sys
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table

from alsobought.console import err, escaped, out, progress_bar
from alsobought.errors import Unusable
from alsobought.events import STANDARD_TYPES, Rules
from alsobought.settings import Settings, extra_event_types

if TYPE_CHECKING:
    from alsobought.kafka.dead_letters import Letter, Replayed

TIMES = "\N{MULTIPLICATION SIGN}"
KINDS_SHOWN = 10
REFUSED_SHOWN = 20
REASON_WIDTH = 72


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show and replay the messages of Kafka that no event or item could be made of.

    \b
    Example: alsobought dead-letters ls
    """


@dead_letters.command("ls")
@click.option("--reason", default="", metavar="TEXT", help="Only those with this text in their reason.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000), help="How many at most.")
@click.option("--all", "everything", is_flag=True, help="Also those that were replayed.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each, with its body.")
@click.pass_obj
def letters_ls(settings: Settings, reason: str, limit: int, everything: bool, as_json: bool) -> None:
    """The dead letters, the newest first, and how often each reason is given.

    \b
    Example: alsobought dead-letters ls --reason event_type
    """
    from alsobought.kafka.dead_letters import Which, kinds, newest
    from alsobought.service.ipc_client import reach_warehouse

    which = Which(reason, everything)
    warehouse = reach_warehouse(settings, create=False)
    try:
        found = newest(warehouse, which, limit)
        counts = [] if as_json else kinds(warehouse, which)
    finally:
        warehouse.close()
    if as_json:
        for letter in found:
            click.echo(msgspec.json.encode(letter))
    elif found:
        out.print(_table(found, replayed=everything))
        _summary(counts, len(found))
    else:
        out.print(_none(which.reason, everything=everything))


def _table(letters: list[Letter], *, replayed: bool) -> Table:
    table = Table("place", "noted", "reason", box=None, header_style="bold")
    table.columns[0].overflow = "fold"  # a place is there to be copied
    table.add_column("bytes", justify="right")
    if replayed:
        table.add_column("replayed")
    for letter in letters:
        cells = [letter.place, _when(letter.noted_at), _short(letter.reason), f"{letter.size:,}"]
        if replayed:
            cells.append(_when(letter.replayed_at) if letter.replayed_at else "")
        table.add_row(*map(escaped, cells))
    return table


def _summary(counts: list[tuple[str, int]], shown: int) -> None:
    total = sum(times for _, times in counts)
    out.print(f"{shown:,} of {total:,} dead letters" if shown < total else f"{total:,} dead letters")
    for kind, times in counts[:KINDS_SHOWN]:
        out.print(f"{times:8,} {TIMES} {escaped(_short(kind))}", soft_wrap=True)
    if rest := counts[KINDS_SHOWN:]:
        out.print(f"{sum(times for _, times in rest):8,} {TIMES} {len(rest):,} other reasons")


def _none(reason: str, *, everything: bool) -> str:
    kept = "" if everything else "; --all shows those that were replayed"
    if reason:
        return f"No dead letter has {escaped(_printable(repr(reason)))} in its reason{kept}"
    return f"There are no dead letters: every message that was read became an event or an item{kept}"


@dead_letters.command("show")
@click.argument("place")
@click.option("--raw", is_flag=True, help="The bytes as Kafka had them and nothing else, to be mended and sent again.")
@click.pass_obj
def letters_show(settings: Settings, place: str, raw: bool) -> None:
    """One dead letter: why it was refused, and what it holds.

    A place is topic/partition/offset. If the topic was deleted and made again, that is the newest letter there; `ls` shows
    an older one with its whole source, kafka:events:<incarnation>/3/1042.

    \b
    Example: alsobought dead-letters show events/3/1042
             alsobought dead-letters show events/3/1042 --raw | sed s/buy/purchase/ | curl -d @- 127.0.0.1:8080/events
    """
    from alsobought.kafka.dead_letters import letter_at
    from alsobought.service.ipc_client import reach_warehouse

    warehouse = reach_warehouse(settings, create=False)
    try:
        letter = letter_at(warehouse, place)
    finally:
        warehouse.close()
    if raw:
        sys.stdout.buffer.write(letter.message)
        return
    said = {
        "place": letter.place,
        "source": letter.source,
        "noted": _when(letter.noted_at),
        "replayed": _when(letter.replayed_at) if letter.replayed_at else "not yet",
        "bytes": f"{letter.size:,}",
        "reason": _printable(letter.reason),
    }
    for name, value in said.items():
        out.print(f"[bold]{name:9}[/]{escaped(value)}", soft_wrap=True)
    out.print()
    out.print(escaped(_readable(letter.message)), soft_wrap=True)


@dead_letters.command("replay")
@click.argument("places", nargs=-1, metavar="[PLACE]...")
@click.option("--reason", default="", metavar="TEXT", help="Those with this text in their reason.")
@click.option("--all", "everything", is_flag=True, help="All that were not replayed yet.")
@click.option("--dry-run", is_flag=True, help="Read them again, store nothing.")
@click.pass_obj
def letters_replay(settings: Settings, places: tuple[str, ...], reason: str, everything: bool, dry_run: bool) -> None:
    """Read dead letters again, by the rules and settings of now, and store what can be read.

    An event is stored at its own place in Kafka, and so once however often it is replayed; one without a timestamp gets
    that of the replay. An item does not replace one that was stored later. What still cannot be read stays.

    Exit status 0 if all that were asked for went in, 1 if some still cannot.

    \b
    Example: ALSOBOUGHT_EVENT_TYPES=buy alsobought dead-letters replay --reason "event_type: 'buy'"
             alsobought dead-letters replay events/3/1042 events/3/1043
             alsobought dead-letters replay --all --dry-run
    """
    from alsobought.kafka.dead_letters import Place, Replayed, Which, letter_at, pages, read_again, replay
    from alsobought.kafka.dead_letters import places as places_of
    from alsobought.service.ipc_client import reach_service, reach_warehouse
    from alsobought.writer.submission import utc_now

    if bool(places) + bool(reason) + everything != 1:
        raise Unusable("say which dead letters: places, --reason TEXT or --all", "One of the three")
    rules = Rules(utc_now(), frozenset(STANDARD_TYPES).union(extra_event_types(settings)), settings.max_event_bytes)
    shop: Any = None if dry_run else reach_service(settings)
    warehouse = reach_warehouse(settings, create=False) if dry_run else shop.warehouse
    total, told = Replayed(), 0

    def tell(letter: Letter, problem: str) -> None:
        nonlocal told
        told += 1
        if told <= REFUSED_SHOWN:
            err.print(f"{escaped(letter.place)}: {escaped(_printable(problem))}", soft_wrap=True)

    try:
        if places:
            named = {letter_at(warehouse, place) for place in places}
            waiting = iter([sorted(named, key=lambda one: (one.source, one.partition, one.offset))])
            wanted = len(named)
        else:
            found: list[Place] = places_of(warehouse, Which(reason))
            waiting, wanted = pages(warehouse, Which(reason), found), len(found)
        with progress_bar(err, "replay", wanted, "letters") as done:
            for page in waiting:
                if shop:
                    _add(total, replay(shop.writer, page, rules, tell))
                else:
                    good, bad = read_again(page, rules, settings.items_topic)
                    for letter, problem in bad:
                        tell(letter, problem)
                    could = Replayed(
                        sum(len(m.letters) for m in good), sum(len(m.rows) for m in good), refused=len(bad)
                    )
                    _add(total, could)
                done(len(page))
    finally:
        (shop or warehouse).close()
    if told > REFUSED_SHOWN:
        err.print(f"… and {told - REFUSED_SHOWN:,} more that still cannot be read")
    _tell(total, dry_run=dry_run)
    if total.refused:
        sys.exit(1)


def _add(total: Replayed, more: Replayed) -> None:
    for name, value in vars(more).items():
        setattr(total, name, getattr(total, name) + value)


def _tell(total: Replayed, *, dry_run: bool) -> None:
    asked = total.taken + total.refused
    if not asked:
        out.print("There is nothing to replay")
        return
    would = "would be " if dry_run else ""
    told = f"{total.taken:,} of {asked:,} dead letters {would}replayed: {total.stored:,} events and items {would}stored"
    if not dry_run:
        told += f", {total.repeats:,} known already"
    if total.overtaken:
        told += f", {total.overtaken:,} items left out since newer ones are stored"
    if total.refused:
        told += f"; {total.refused:,} still cannot be read"
    out.print(told, soft_wrap=True)


def _when(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def _short(reason: str) -> str:
    """A reason that fits a line: lists are left out."""
    head, listed, _ = _printable(reason).partition(" is not one of ")
    text = f"{head}{listed}…" if listed else head
    return text if len(text) <= REASON_WIDTH else f"{text[: REASON_WIDTH - 1]}…"


def _printable(text: str) -> str:
    """Text that does nothing to a terminal."""
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)


def _readable(message: bytes) -> str:
    """JSON over several lines, other text as it is, and anything else as numbers and letters."""
    if not message:
        return "(empty)"
    try:
        text = message.decode()
        if any(unicodedata.category(mark) == "Cc" for mark in text if mark not in "\t\r\n"):
            return _dump(message)
        msgspec.json.decode(message, type=msgspec.Raw)
        return msgspec.json.format(message, indent=2).decode()
    except UnicodeDecodeError:
        return _dump(message)
    except (msgspec.DecodeError, RecursionError):
        return text


def _dump(message: bytes) -> str:
    """Bytes as numbers and letters.

    >>> print(_dump(b"tea \\xff"))
    00000000  74 65 61 20 ff                                   tea .
    """
    lines = []
    for start in range(0, len(message), 16):
        part = message[start : start + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:08x}  {part.hex(' '):47}  {shown}")
    return "\n".join(lines)
