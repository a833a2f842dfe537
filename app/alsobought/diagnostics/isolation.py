"""Run a check so that its failure becomes a finding and the next check still runs.

Checks that use the engine run in a process of their own: a damaged data folder can crash or hang it.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection

from alsobought.diagnostics.findings import Finding
from alsobought.errors import AlsoboughtError
from alsobought.settings import Settings

TIMEOUT_SECONDS = 60.0  # for each finding of a child process

Check = Callable[[Settings], Iterable[Finding]]


def run_check(name: str, check: Check, settings: Settings) -> Iterator[Finding]:
    """Yields the findings of a check; an exception becomes a fault under this name."""
    try:
        yield from check(settings)
    except AlsoboughtError as error:
        yield Finding(name, "fault", error.message, error.hint)
    except Exception as error:
        lines = str(error).strip().splitlines()
        yield Finding(name, "fault", f"check failed: {lines[0] if lines else type(error).__name__}")


def run_in_process(name: str, check: Check, settings: Settings) -> Iterator[Finding]:
    """Does the same in a spawned process; its death or a timeout becomes a fault, too."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send_findings, args=(sender, name, check, settings), daemon=True)
    child.start()
    sender.close()
    try:
        while True:
            if not receiver.poll(TIMEOUT_SECONDS):
                child.kill()
                advice = "Check if the machine, or the server, is overloaded"
                yield Finding(name, "fault", f"no answer in {TIMEOUT_SECONDS:.0f} s", advice)
                return
            finding = receiver.recv()
            if finding is None:
                return
            yield finding
    except EOFError:
        child.join()
        advice = "Copy the data folder before anything else; then run `alsobought check` to verify the counts"
        yield Finding(name, "fault", f"the engine's process died (exit status {child.exitcode})", advice)
    finally:
        child.join(5)
        child.kill()


def _send_findings(sender: Connection, name: str, check: Check, settings: Settings) -> None:
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # it raises what it logs
    logging.getLogger("alsobought").addHandler(logging.NullHandler())  # a pipe's fault is a finding
    for finding in run_check(name, check, settings):
        sender.send(finding)
    sender.send(None)
