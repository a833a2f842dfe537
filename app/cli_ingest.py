"""`alsobought ingest`: from Kafka into the warehouse."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import click
import msgspec

from app.errors import Unusable
from app.progress import err, out
from app.settings import Settings

if TYPE_CHECKING:
    from app.stream import Stream

TELL_SECONDS = 10.0


@click.command()
@click.option("--status", is_flag=True, help="Only say how far reading is, and whether anything was left out.")
@click.option("--json", "as_json", is_flag=True, help="The status as JSON.")
@click.pass_obj
def ingest(settings: Settings, status: bool, as_json: bool) -> None:
    """Read events and items from Kafka until it is stopped; each event counts once, whatever dies on the way.

    The topics are events and items, made if they are missing. It goes on where the warehouse is. An embedded warehouse that
    `serve` holds is fed by `serve` itself, if ALSOBOUGHT_KAFKA is set there.

    --status works beside it, and without Kafka as far as the warehouse knows; its exit status is 1 if anything was left out.

    \b
    Example: ALSOBOUGHT_KAFKA=127.0.0.1:9092 alsobought ingest
             ALSOBOUGHT_KAFKA=127.0.0.1:9092 alsobought ingest --status
    """
    if status:
        _status(settings, as_json=as_json)
        return
    from app.logs import open_log
    from app.shop import open_shop
    from app.stream import Stream

    if not settings.kafka:
        raise Unusable("there is no Kafka to read from", "Set ALSOBOUGHT_KAFKA, for example to 127.0.0.1:9092")
    open_log(settings.log, settings.log_level)
    shop = open_shop(settings)
    try:
        stream = Stream(shop.writer, settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stream.stop())
        ended = threading.Event()
        threading.Thread(target=_tell, args=(stream, ended), name="teller", daemon=True).start()
        out.print(f"alsobought reads from {settings.kafka}")
        stream.run()
        ended.set()
    finally:
        shop.close()
    done = stream.done
    out.print(f"{done.stored:,} events stored, {done.repeats:,} known already, {done.refused:,} refused")


def _status(settings: Settings, *, as_json: bool) -> None:
    from app.lag import show, status
    from app.visitor import reach_warehouse

    warehouse = reach_warehouse(settings, create=False)
    try:
        found = status(warehouse, settings)
    finally:
        warehouse.close()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        show(found)
    if found.alarms:
        sys.exit(1)


def _tell(stream: Stream, ended: threading.Event) -> None:
    """How far it is, now and then, on a terminal."""
    before, at = 0, time.monotonic()
    while err.is_terminal and not ended.wait(TELL_SECONDS):
        now = time.monotonic()
        rate = (stream.done.messages - before) / (now - at)
        before, at = stream.done.messages, now
        err.print(f"{stream.done.messages:,} messages, {rate:,.0f}/s, {stream.done.refused:,} refused")
