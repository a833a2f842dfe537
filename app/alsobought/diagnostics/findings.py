"""One matter at a time: what was found is told, and an examination that ends badly is a finding, too.

What the engine is asked is asked in a process of its own: it may die or never answer, and the next matter is examined.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Literal

from alsobought.errors import AlsoboughtError
from alsobought.settings import Settings

PATIENCE = 60.0  # seconds for one answer of the engine


@dataclass(frozen=True)
class Finding:
    """One matter and how it stands."""

    matter: str
    state: Literal["ok", "warning", "fault"]
    found: str
    advice: str = ""


Examination = Callable[[Settings], Iterable[Finding]]


def apart(matter: str, examination: Examination, settings: Settings) -> Iterator[Finding]:
    """An examination that ends badly is a finding, too."""
    try:
        yield from examination(settings)
    except AlsoboughtError as error:
        yield Finding(matter, "fault", error.message, error.hint)
    except Exception as error:
        lines = str(error).strip().splitlines()
        yield Finding(matter, "fault", f"could not be examined: {lines[0] if lines else type(error).__name__}")


def in_own_process(matter: str, examination: Examination, settings: Settings) -> Iterator[Finding]:
    """An examination in a fresh process, which may die or never end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(theirs, matter, examination, settings), daemon=True)
    child.start()
    theirs.close()
    try:
        while True:
            if not ours.poll(PATIENCE):
                child.kill()
                yield Finding(
                    matter, "fault", f"no answer in {PATIENCE:.0f} s", "Is the machine, or the server, overloaded?"
                )
                return
            finding = ours.recv()
            if finding is None:
                return
            yield finding
    except EOFError:
        child.join()
        advice = (
            "Keep a copy of the data folder before anything else; `alsobought check` says whether the counts are right"
        )
        yield Finding(matter, "fault", f"the engine's process died (exit status {child.exitcode})", advice)
    finally:
        child.join(5)
        child.kill()


def _report(theirs: Connection, matter: str, examination: Examination, settings: Settings) -> None:
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # it raises what it logs
    logging.getLogger("alsobought").addHandler(logging.NullHandler())  # a pipe's fault is a finding
    for finding in apart(matter, examination, settings):
        theirs.send(finding)
    theirs.send(None)
