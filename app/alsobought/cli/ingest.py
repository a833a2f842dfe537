"""`alsobought ingest`: from Kafka into the warehouse."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from alsobought.console import err, out, print_json
from alsobought.errors import Unusable
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.kafka.consumer import Stream
    from alsobought.service.service import Service

log = logging.getLogger(__name__)

SHOW_SECONDS, LOG_SECONDS, LEAVE_SECONDS = 0.5, 10.0, 15.0


@click.command()
@click.option("--status", is_flag=True, help="Only say how far reading is, and whether anything was left out.")
@click.option("--json", "as_json", is_flag=True, help="The status as JSON.")
@click.pass_obj
def ingest(settings: Settings, status: bool, as_json: bool) -> None:
    """Read events and items from Kafka until it is stopped; each event counts once, whatever dies on the way.

    The topics are events and items, made if they are missing. It goes on where the warehouse is. An embedded warehouse that
    `serve` holds is fed by `serve` itself, if ALSOBOUGHT_KAFKA is set there.

    --status works beside a running `serve` or `ingest`, and without Kafka as far as the warehouse knows; its exit status is 1 if
    anything was left out.

    \b
    Example: ALSOBOUGHT_KAFKA=127.0.0.1:9092 alsobought ingest
             ALSOBOUGHT_KAFKA=127.0.0.1:9092 alsobought ingest --status
    """
    if status:
        _status(settings, as_json=as_json)
        return
    from alsobought.kafka.client import topics
    from alsobought.kafka.consumer import Stream
    from alsobought.logs import open_log
    from alsobought.service.service import open_service

    if not settings.kafka:
        raise Unusable("there is no Kafka to read from", "Set ALSOBOUGHT_KAFKA, for example to 127.0.0.1:9092")
    open_log(settings.log, settings.log_level)
    topics(settings)
    shop = open_service(settings)
    try:
        stream = Stream(shop.writer, settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: _leave(stream))
        out.print(f"alsobought reads from {settings.kafka}")
        with watched(shop), told(stream):
            stream.run()
    finally:
        shop.close()
    done = stream.done
    out.print(f"{done.stored:,} messages stored, {done.repeats:,} known already, {done.refused:,} refused")


@contextmanager
def watched(shop: Service) -> Iterator[None]:
    """Meanwhile other commands may ask about an embedded warehouse, and what is wrong is logged."""
    from alsobought.service.ipc_server import IpcServer
    from alsobought.service.monitor import Monitor

    holder = IpcServer(folder, shop.writer, shop.warehouse.another) if (folder := shop.warehouse.folder) else None
    monitor = Monitor(shop.writer)
    monitor.start()
    try:
        yield
    finally:
        monitor.stop()
        if holder:
            holder.close()


def _leave(stream: Stream) -> None:
    """After what is on its way. If the warehouse does not answer, without it: a process may die here at any moment."""
    stream.stop()
    timer = threading.Timer(LEAVE_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _status(settings: Settings, *, as_json: bool) -> None:
    from alsobought.kafka.checkpoints import show, status
    from alsobought.service.ipc_client import reach_warehouse

    warehouse = reach_warehouse(settings, create=False)
    try:
        found = status(warehouse, settings)
    finally:
        warehouse.close()
    if as_json:
        print_json(found)
    else:
        show(found)
    if found.alarms:
        sys.exit(1)


@contextmanager
def told(stream: Stream) -> Iterator[None]:
    """Tells meanwhile how far it is: a line that moves on a terminal, else a line in the log now and then."""
    ended = threading.Event()
    teller = threading.Thread(
        target=_show if err.is_terminal else _log, args=(stream, ended), name="teller", daemon=True
    )
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _show(stream: Stream, ended: threading.Event) -> None:
    before, at = 0, time.monotonic()
    with err.status("waiting for the first message") as line:
        while not ended.wait(SHOW_SECONDS):
            now = time.monotonic()
            line.update(_sentence(stream, (stream.done.messages - before) / (now - at)))
            before, at = stream.done.messages, now


def _log(stream: Stream, ended: threading.Event) -> None:
    before = 0
    while not ended.wait(LOG_SECONDS):
        if stream.done.messages != before:
            log.info(_sentence(stream, (stream.done.messages - before) / LOG_SECONDS))
            before = stream.done.messages


def _sentence(stream: Stream, rate: float) -> str:
    if not stream.reading:
        return "standing by: another process reads"
    done = stream.done
    text = f"{done.messages:,} messages, {rate:,.0f} a second, {done.repeats:,} known already, {done.refused:,} refused"
    return f"{text}; waiting: {stream.trouble}" if stream.trouble else text
