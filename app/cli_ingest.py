"""`alsobought ingest`: from Kafka into the warehouse."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import click

from app.errors import Unusable
from app.progress import err, out
from app.settings import Settings

if TYPE_CHECKING:
    from app.stream import Stream

TELL_SECONDS = 10.0


@click.command()
@click.pass_obj
def ingest(settings: Settings) -> None:
    """Read events and items from Kafka until it is stopped; each event counts once, whatever dies on the way.

    The topics are events and items, made if they are missing. It goes on where the warehouse is. An embedded warehouse that
    `serve` holds is fed by `serve` itself, if ALSOBOUGHT_KAFKA is set there.

    \b
    Example: ALSOBOUGHT_KAFKA=127.0.0.1:9092 alsobought ingest
    """
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


def _tell(stream: Stream, ended: threading.Event) -> None:
    """How far it is, now and then, on a terminal."""
    before, at = 0, time.monotonic()
    while err.is_terminal and not ended.wait(TELL_SECONDS):
        now = time.monotonic()
        rate = (stream.done.messages - before) / (now - at)
        before, at = stream.done.messages, now
        err.print(f"{stream.done.messages:,} messages, {rate:,.0f}/s, {stream.done.refused:,} refused")
