"""The folder of pipes, kept up to date: a saved file is the next request's text, a broken one leaves the last good one.

Nothing watches the folder: a request compares modification times, which costs microseconds.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from alsobought.errors import AlsoboughtError, NoSuchPipe, PipeBroken, PipeFault
from alsobought.pipes.header import Deprecation, Header, read_header
from alsobought.pipes.parameter_groups import FOLDER as GROUP_FOLDER
from alsobought.pipes.parameter_groups import Groups, group_files, read_groups
from alsobought.pipes.pipe import SOURCE, Pipe, is_given
from alsobought.pipes.scopes import Schema
from alsobought.pipes.template import MAX_TEXT, Templates, environment, files, in_lines, read_text
from alsobought.pipes.validation import Describe, Validation
from alsobought.pipes.validation_cache import Described, Tried

__all__ = ["SOURCE", "Describe", "Described", "Entry", "Library", "Pipe"]

log = logging.getLogger(__name__)

COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_ .]*")
Stamp = tuple[tuple[str | int, ...], ...]
RETRY_SECONDS = 1.0


@dataclass
class Entry:
    """A file of the folder: the last good pipe made of it, and what is wrong with its present text.

    `warnings` are of a text that is good all the same.
    """

    stamp: Stamp = ()
    pipe: Pipe | None = None
    fault: PipeFault | None = None
    warnings: tuple[PipeFault, ...] = ()
    read_at: float = field(default_factory=time.monotonic)

    @property
    def faults(self) -> tuple[PipeFault, ...]:
        """Everything that is wrong with the present text, in the order of its lines."""
        return self.fault.all if self.fault else ()

    @property
    def findings(self) -> list[dict[str, Any]]:
        """As editors show them: an error keeps the text from answering, a warning does not."""
        errors = [fault.finding("error") for fault in self.faults]
        return errors + [warning.finding("warning") for warning in self.warnings]

    def holds(self, stamp: Stamp) -> bool:
        """Whether the file need not be read again. A fault may be cured from outside: by another pipe, by a new table."""
        return self.stamp == stamp and (self.fault is None or time.monotonic() - self.read_at < RETRY_SECONDS)


def is_name(text: str) -> bool:
    """Whether a pipe may be called so: it is a part of addresses and of the names of files."""
    return text.isidentifier() and text.isascii()


class Library:
    """`library["also_bought"]` is the pipe as its file stands now."""

    def __init__(
        self,
        folder: Path,
        macros: Path,
        schema: Callable[[], Schema],
        describe: Describe,
        event_types: Collection[str] = (),
        tried: Tried | None = None,
    ) -> None:
        self.folder, self.macros = folder, macros
        self._event_types = event_types
        self._schema, self._describe = schema, describe
        self._tried = tried or Tried()
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        return [path.stem for path in files(self.folder) if is_name(path.stem)]

    def __getitem__(self, name: str) -> Pipe:
        """Raises NoSuchPipe, or PipeBroken for a pipe that never had a good text."""
        entry = self.entry(name)
        if entry.pipe is None:
            raise PipeBroken(f"the pipe {name} is broken", "Its author sees why with `alsobought pipe check`")
        return entry.pipe

    def answering(self, name: str, given: Mapping[str, Any]) -> Pipe:
        """The pipe that answers these parameters: `name`, or under that name the text of the pipe to which `@deprecated`
        moved one of them.

        Raises NoSuchPipe, PipeBroken.
        """
        pipe = self[name]
        moved = next((one.pipe for one in pipe.header.moved if is_given(given, one.name)), "")
        if not moved:
            return pipe
        target = self[moved]
        deprecated = {one.name: one for one in (*target.header.deprecated, *pipe.header.deprecated)}
        return replace(target, name=name, header=replace(target.header, deprecated=tuple(deprecated.values())))

    def entry(self, name: str) -> Entry:
        """The pipe and its fault, read again if its file or a macro changed. Raises NoSuchPipe."""
        path = self.folder / f"{name}.sql"
        stamp = self._stamp(path) if is_name(name) else ()
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

    def draft(self, name: str, text: str) -> Entry:
        """What the folder would say of this text under this name; nothing is saved, and what is served stays.

        Its `pipe` is None where the text has a fault.
        """
        if not is_name(name):
            fault = PipeFault("this cannot be the name of a pipe", "Letters, digits and _, no digit in front")
            return Entry(fault=fault)
        return self._judged(lambda: self._checked(name, in_lines(text.removeprefix("\ufeff"))))

    def _tell(self, name: str, entry: Entry, before: Entry | None) -> None:
        """The log has the faults of a file once, although a broken one is read again and again."""
        told = set(map(_said, before.faults)) if before and before.stamp == entry.stamp else set()
        serving = "its last good text answers" if entry.pipe else "it does not answer"
        for fault in entry.faults:
            if _said(fault) not in told:
                log.warning("pipes/%s.sql%s; %s", name, _said(fault), serving)
        for warning in entry.warnings:
            log.info("pipes/%s.sql%s; it answers", name, _said(warning))

    def version(self, name: str) -> str:
        """The version of a pipe as it was last read, empty if it never had a good text."""
        entry = self._entries.get(name)
        return entry.pipe.version if entry and entry.pipe else ""

    def _stamp(self, path: Path) -> Stamp:
        """Empty where the file is not there, or cannot be, with so long a name."""
        own = _seen(path)
        others = (*files(self.macros), *self.csv_files(), *group_files(self.macros))
        return (own, *map(_seen, others)) if own else ()

    def csv_files(self) -> list[Path]:
        """What analysts tune beside the macros."""
        return files(self.macros.parent, ".csv")

    def csv_faults(self, name: str) -> tuple[PipeFault, ...]:
        """What is wrong with a CSV file, whether or not a pipe uses it; lines are those of the file."""
        try:
            self._jinja().csv(name)
        except PipeFault as fault:
            return fault.all
        return ()

    def groups(self) -> Groups:
        """The parameter groups as their files are now."""
        return read_groups(group_files(self.macros))

    def group_faults(self) -> dict[str, tuple[PipeFault, ...]]:
        """{file of a parameter group, from the folder `sql`: what is wrong with it}, whether or not a pipe uses it."""
        return {
            f"{GROUP_FOLDER}/{name}.sql": group.all if isinstance(group, PipeFault) else ()
            for name, group in self.groups().items()
        }

    def _jinja(self) -> Templates:
        return environment(self.macros, {"event_type": self._event_types, "pipe": ("*", *self.names())})

    def _read(self, path: Path, stamp: Stamp, last_good: Pipe | None) -> Entry:
        entry = self._judged(lambda: self._checked(path.stem, read_text(path)))
        return replace(entry, stamp=stamp, pipe=entry.pipe or last_good)

    def _judged(self, checked: Callable[[], tuple[Pipe, tuple[PipeFault, ...]]]) -> Entry:
        try:
            pipe, warnings = checked()
            return Entry(pipe=pipe, warnings=warnings)
        except PipeFault as error:
            fault = error
        except AlsoboughtError:
            raise  # the warehouse's trouble, not the text's
        except UnicodeError:
            fault = PipeFault("the file, or one of the macros, is not UTF-8 text", "Save it as UTF-8")
        except RecursionError:
            fault = PipeFault("nested too deeply", "Name the inner parts in a WITH")
        except Exception as error:  # whatever a strange text makes its readers raise: the last good one goes on serving
            log.debug("a pipe cannot be read", exc_info=error)
            fault = PipeFault(f"cannot be read: {error or type(error).__name__}")
        return Entry(fault=fault)

    def _checked(self, name: str, text: str) -> tuple[Pipe, tuple[PipeFault, ...]]:
        """Tries a text with no, each and all optional parameters: the pipe and its warnings. Raises PipeFault."""
        if len(text) > MAX_TEXT:
            raise PipeFault(f"{len(text):,} characters; at most {MAX_TEXT:,}", "Make two pipes of it")
        groups = self.groups()
        header = read_header(text, groups)
        jinja = self._jinja()
        schema = self._schema()
        validation = Validation(text, header, jinja, schema, self._describe, self._tried)
        validation.run()
        self._agree(name, header, validation)
        if validation.faults:
            raise PipeFault.together(validation.faults)
        used = [group.text for name in header.groups if not isinstance(group := groups[name], PipeFault)]
        version = _version(text, jinja, used)
        pipe = Pipe(
            name, header, text, version, validation.columns, sorted(validation.read), jinja, schema, validation.rendered
        )
        return pipe, (PipeFault.together(validation.warnings).all if validation.warnings else ())

    def _agree(self, name: str, header: Header, validation: Validation) -> None:
        """The header and the text speak of the same things. What a broken text does not say is not missed."""

        def fault(message: str, hint: str, tag: str) -> None:
            validation.faults.append(PipeFault(message, hint, header.lines.get(tag, 0)))

        whole = not validation.faults
        for column, _ in validation.columns if whole else ():
            if not COLUMN.fullmatch(column):
                fault(f"a column is called {column[:60]!r}", "Name it: … as score; letters, digits and _", "")
        for one in header.parameters if whole else ():
            if one.name not in validation.used:
                fault(f":{one.name} is declared and never used", "Use it or take the line out", f":{one.name}")
        if whole and header.key and header.key not in dict(validation.columns):
            fault(f"@key {header.key} is not a column of the answer", "Rows are told apart by it", "@key")
        names = {*self.names(), name}
        if header.fallback and header.fallback.pipe not in names:
            near = get_close_matches(header.fallback.pipe, names, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(names - {name}))}"
            fault(f"@fallback {header.fallback.pipe} is not a pipe", hint, "@fallback")
        for moved in header.moved:
            if problem := self._wrong_with(moved, names):
                validation.faults.append(PipeFault(f"@deprecated {moved.name}: {problem}", line=moved.line))

    def _wrong_with(self, moved: Deprecation, names: Collection[str]) -> str:
        """Why the pipe that is to answer a deprecated parameter cannot."""
        if moved.pipe not in names:
            near = get_close_matches(moved.pipe, names, n=1)
            return f"{moved.pipe} is not a pipe" + (f"; did you mean {near[0]}?" if near else "")
        try:
            target = read_header(read_text(self.folder / f"{moved.pipe}.sql"), self.groups())
        except (PipeFault, UnicodeError, OSError):
            return ""  # the fault of that pipe
        if all(moved.name != one.name for one in target.parameters):
            return f"{moved.pipe} has no such parameter"
        return ""


def _seen(path: Path) -> tuple[str | int, ...]:
    """What changes when a file is saved, replaced or renamed; empty for one that is not there."""
    try:
        at = path.stat()
    except OSError:
        return ()
    return (path.name, at.st_ino, at.st_mtime_ns, at.st_size)


def _said(fault: PipeFault) -> str:
    return f"{f':{fault.line}' if fault.line else ''}: {fault}"


def _version(text: str, jinja: Templates, groups: Collection[str]) -> str:
    """A short hash of the text, of all macros, and of the parameter groups and CSV files that it uses."""
    digest = hashlib.sha256(text.encode())
    for other in (
        *jinja.texts.values(),
        *groups,
        *(f"{name}\n{jinja.csv_texts[name]}" for name in sorted(jinja.csv_read)),
    ):
        digest.update(other.encode())
    return digest.hexdigest()[:12]
