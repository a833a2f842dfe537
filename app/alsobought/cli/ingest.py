"""`alsobought ingest`: consume Kafka into the warehouse, or show the progress."""

from __future__ import annotations

import atexit
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

from alsobought import tracing
from alsobought.console import err, out, print_json
from alsobought.errors import Unusable
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.kafka.consumer import TopicConsumer
    from alsobought.service.service import Service

log = logging.getLogger(__name__)

TERMINAL_SECONDS, LOG_SECONDS, EXIT_SECONDS = 0.5, 10.0, 15.0


@click.command()
@click.option(
    "--status",
    is_flag=True,
    help="Show lag, rates and dead letters, and whether reading is halted or offsets were missed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
@click.pass_obj
def ingest(settings: Settings, status: bool, as_json: bool) -> None:
    """Read events, items and users from Kafka until stopped. Each event counts once, whatever crashes.

    The topics are events, items and users, created if missing. Reading resumes at the offsets that the
    warehouse has checkpointed. If `serve` runs on an embedded warehouse, set ALSOBOUGHT_KAFKA there:
    `serve` then reads the topics itself.

    --status works beside a running `serve` or `ingest`; without Kafka it shows what the warehouse
    has. Its exit status is 1 if offsets were missed or reading is halted.

    \b
    Example: ALSOBOUGHT_KAFKA=127.0.0.1:9092 alsobought ingest
             ALSOBOUGHT_KAFKA=127.0.0.1:9092 alsobought ingest --status
    """
    if status:
        _show_status(settings, as_json=as_json)
        return
    from alsobought.kafka.client import describe_topics
    from alsobought.kafka.consumer import TopicConsumer
    from alsobought.logs import open_log
    from alsobought.privacy.guests import merge_guests
    from alsobought.service.service import open_service

    if not settings.kafka:
        raise Unusable("there is no Kafka to read from", "Set ALSOBOUGHT_KAFKA, for example to 127.0.0.1:9092")
    open_log(settings.log, settings.log_level)
    atexit.register(tracing.start())
    describe_topics(settings)
    service = open_service(settings)
    try:
        consumer = TopicConsumer(service.writer, settings, merge_guests)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: _exit(consumer))
        out.print(f"alsobought reads from {settings.kafka}")
        with _monitored(service), _progress(consumer):
            consumer.run()
    finally:
        service.close()
    totals = consumer.totals
    out.print(
        f"{totals.stored:,} messages stored, {totals.duplicates:,} duplicates, {totals.rejected:,} rejected,"
        f" {totals.skipped:,} skipped",
        soft_wrap=True,
    )


@contextmanager
def _monitored(service: Service) -> Iterator[None]:
    """Meanwhile other commands can query an embedded warehouse, and alarms are logged."""
    from alsobought.service.ipc_server import IpcServer
    from alsobought.service.monitor import Monitor

    folder = service.warehouse.folder
    ipc_server = IpcServer(folder, service.writer, service.warehouse.another) if folder else None
    monitor = Monitor(service.writer)
    monitor.start()
    try:
        yield
    finally:
        monitor.stop()
        if ipc_server:
            ipc_server.close()


def _exit(consumer: TopicConsumer) -> None:
    """Stop after the batches in flight, or without them after EXIT_SECONDS: a crash loses nothing."""
    consumer.stop()
    timer = threading.Timer(EXIT_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _show_status(settings: Settings, *, as_json: bool) -> None:
    from alsobought.cli.ingest_status import print_status, status_json
    from alsobought.kafka.ingest_status import status as ingest_status
    from alsobought.service.ipc_client import reach_warehouse

    warehouse = reach_warehouse(settings, create=False)
    try:
        status = ingest_status(warehouse, settings)
    finally:
        warehouse.close()
    if as_json:
        print_json(status_json(status))
    else:
        print_status(status)
    if status.alarms:
        sys.exit(1)


@contextmanager
def _progress(consumer: TopicConsumer) -> Iterator[None]:
    """Show progress meanwhile: in a line of a terminal, else in the log at intervals."""
    ended = threading.Event()
    show = _show_on_terminal if err.is_terminal else _show_in_log
    thread = threading.Thread(target=show, args=(consumer, ended), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show_on_terminal(consumer: TopicConsumer, ended: threading.Event) -> None:
    before, at = 0, time.monotonic()
    with err.status("waiting for the first message") as line:
        while not ended.wait(TERMINAL_SECONDS):
            now = time.monotonic()
            line.update(_sentence(consumer, (consumer.totals.messages - before) / (now - at)))
            before, at = consumer.totals.messages, now


def _show_in_log(consumer: TopicConsumer, ended: threading.Event) -> None:
    before = 0
    while not ended.wait(LOG_SECONDS):
        if consumer.totals.messages != before:
            log.info(_sentence(consumer, (consumer.totals.messages - before) / LOG_SECONDS))
            before = consumer.totals.messages


def _sentence(consumer: TopicConsumer, rate: float) -> str:
    if not consumer.active:
        return "standing by: another process reads"
    totals = consumer.totals
    text = f"{totals.messages:,} messages, {rate:,.0f} per second"
    text += f", {totals.duplicates:,} duplicates, {totals.rejected:,} rejected, {totals.skipped:,} skipped"
    return f"{text}; paused: {consumer.error}" if consumer.error else text
