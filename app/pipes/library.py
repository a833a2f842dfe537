"""The folder of pipes, kept up to date: a saved file is the next request's text, a broken one leaves the last good one.

Nothing watches the folder: a request compares modification times, which costs microseconds.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from app.errors import AlsoboughtError, NoSuchPipe, PipeBroken, PipeFault
from app.pipes.check import check, tables_of
from app.pipes.header import Header, read_header
from app.pipes.parameters import Parameter
from app.pipes.template import CLOCK, Templates, environment, files, render

log = logging.getLogger(__name__)

Described = list[tuple[str, str]]
"""Columns of an answer: name and ClickHouse type."""
Describe = Callable[[str, Mapping[str, Any]], Described]
"""Asks the engine for the columns of a SELECT; raises any of our errors where it would not run."""

RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Pipe:
    """A pipe that passed every check. `version` changes with its text and with any macro."""

    name: str
    header: Header
    text: str
    version: str
    columns: Described
    tables: list[str]
    _jinja: Templates = field(repr=False)
    _own_tables: Collection[str] = field(repr=False)
    _rendered: dict[frozenset[str], str] = field(default_factory=dict, repr=False)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.header.parameters

    def sql(self, given: Collection[str]) -> str:
        """The text where these parameters were given; made and checked once for each choice of them.

        Raises PipeFault for a choice that was not tried at load.
        """
        names = frozenset(given)
        if names not in self._rendered:
            sql = render(self.text, self.parameters, names, self._jinja)
            check(sql, self._own_tables)
            self._rendered[names] = sql
        return self._rendered[names]


@dataclass
class Entry:
    """A file of the folder: the last good pipe made of it, and what is wrong with its present text."""

    stamp: tuple[int, ...] = ()
    pipe: Pipe | None = None
    fault: PipeFault | None = None
    read_at: float = field(default_factory=time.monotonic)

    def holds(self, stamp: tuple[int, ...]) -> bool:
        """Whether the file need not be read again. A fault may be cured from outside: by another pipe, by a new table."""
        return self.stamp == stamp and (self.fault is None or time.monotonic() - self.read_at < RETRY_SECONDS)


class Library:
    """`library["also_bought"]` is the pipe as its file stands now."""

    def __init__(self, folder: Path, macros: Path, tables: Callable[[], Collection[str]], describe: Describe) -> None:
        self.folder, self.macros = folder, macros
        self._tables, self._describe = tables, describe
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        return [path.stem for path in files(self.folder) if path.stem.isidentifier()]

    def __getitem__(self, name: str) -> Pipe:
        """Raises NoSuchPipe, or PipeBroken for a pipe that never had a good text."""
        entry = self.entry(name)
        if entry.pipe is None:
            raise PipeBroken(f"the pipe {name} is broken", "Its author sees why with `alsobought pipe check`")
        return entry.pipe

    def entry(self, name: str) -> Entry:
        """The pipe and its fault, read again if its file or a macro changed. Raises NoSuchPipe."""
        path = self.folder / f"{name}.sql"
        stamp = self._stamp(path) if name.isidentifier() else ()
        if not stamp:
            raise NoSuchPipe(f"no pipe called {name!r}", f"There are {', '.join(self.names())}")
        entry = self._entries.get(name)
        if entry and entry.holds(stamp):
            return entry
        if not self._lock.acquire(blocking=entry is None or entry.pipe is None):
            return entry or Entry()  # somebody else is reading the new text: the old one serves meanwhile
        try:
            known = self._entries.get(name)
            if known is None or not known.holds(stamp):
                entry = self._entries[name] = self._read(path, stamp, known.pipe if known else None)
                self._tell(name, entry, known)
            return self._entries[name]
        finally:
            self._lock.release()

    def _tell(self, name: str, entry: Entry, before: Entry | None) -> None:
        """The log has the fault of a file once, although a broken one is read again and again."""
        fault = entry.fault
        if fault and not (before and before.fault and before.stamp == entry.stamp and str(before.fault) == str(fault)):
            serving = "its last good text answers" if entry.pipe else "it does not answer"
            log.warning("pipes/%s.sql%s: %s; %s", name, f":{fault.line}" if fault.line else "", fault, serving)

    def version(self, name: str) -> str:
        """The version of a pipe as it was last read, empty if it never had a good text."""
        entry = self._entries.get(name)
        return entry.pipe.version if entry and entry.pipe else ""

    def _stamp(self, path: Path) -> tuple[int, ...]:
        try:
            stats = (file.stat() for file in (path, *files(self.macros)))
            return tuple(chain.from_iterable((at.st_mtime_ns, at.st_size) for at in stats))
        except OSError:  # not there, or a name that is too long for a file
            return ()

    def _read(self, path: Path, stamp: tuple[int, ...], last_good: Pipe | None) -> Entry:
        try:
            return Entry(stamp, self._checked(path.stem, path.read_text("utf-8-sig")))
        except PipeFault as error:
            fault = error
        except AlsoboughtError:
            raise  # the warehouse's trouble, not the text's
        except UnicodeDecodeError:
            fault = PipeFault("the file, or one of the macros, is not UTF-8 text")
        except Exception as error:  # whatever a strange text makes its readers raise: the last good one goes on serving
            fault = PipeFault(f"cannot be read: {error or type(error).__name__}")
        return Entry(stamp, last_good, fault)

    def _checked(self, name: str, text: str) -> Pipe:
        """Tries a text with no, each and all optional parameters. Raises PipeFault."""
        header = read_header(text)
        jinja = environment(self.macros)
        tables = self._tables()
        pipe = Pipe(name, header, text, self._version(text), [], [], jinja, tables)
        always = {p.name for p in header.parameters if not p.optional}
        optional = [p.name for p in header.parameters if p.optional]
        samples = {p.name: p.sample() for p in (*header.parameters, CLOCK)}
        columns: Described = []
        read: set[str] = set()
        used: set[str] = set()
        for extra in dict.fromkeys([(), *((one,) for one in optional), tuple(optional)]):
            sql = pipe.sql(always.union(extra))
            read.update(tables_of(check(sql, tables)))
            used.update(p.name for p in header.parameters if f"{{{p.name}:" in sql)
            try:
                found = self._describe(sql, samples)
            except Exception as error:
                raise PipeFault(str(getattr(error, "message", error))) from error
            if columns and found != columns:
                raise PipeFault(f"with {', '.join(extra)} the columns are others", "An answer has one shape")
            columns = found
        self._agree(header, columns, used)
        return Pipe(name, header, text, pipe.version, columns, sorted(read), jinja, tables, pipe._rendered)

    def _agree(self, header: Header, columns: Described, used: set[str]) -> None:
        """The header and the text speak of the same things."""
        for parameter in header.parameters:
            if parameter.name not in used:
                raise PipeFault(f":{parameter.name} is declared and never used", "Use it or take the line out")
        if header.key and header.key not in dict(columns):
            raise PipeFault(f"@key {header.key} is not a column of the answer", "Rows are told apart by it")
        if header.fallback and header.fallback.pipe not in self.names():
            raise PipeFault(f"@fallback {header.fallback.pipe} is not a pipe", f"There are {', '.join(self.names())}")

    def _version(self, text: str) -> str:
        """A short hash of the text and of all macros."""
        digest = hashlib.sha256(text.encode())
        for macro in files(self.macros):
            digest.update(macro.read_bytes())
        return digest.hexdigest()[:12]
