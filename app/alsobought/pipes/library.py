"""The folder of pipes: reload a saved file on the next request, and keep the last valid version.

No thread watches the folder: each request compares modification times, that of its pipe always, those of macros and other files
at most every RECHECK_SECONDS. Each look at a file lets another thread run: with thirty requests under way, the look of every
request at all files was most of what they cost.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alsobought.errors import AlsoboughtError, NoSuchPipe, PipeBroken, PipeFault
from alsobought.pipes.engine_tree import ReadTree
from alsobought.pipes.header import Header, read_header
from alsobought.pipes.header_checks import check_header
from alsobought.pipes.parameter_groups import FOLDER as GROUP_FOLDER
from alsobought.pipes.parameter_groups import Groups, group_files, read_groups
from alsobought.pipes.pipe import SOURCE, Pipe, is_provided
from alsobought.pipes.sandbox import Constant, Templates, environment
from alsobought.pipes.scopes import Schema
from alsobought.pipes.text_files import (
    MAX_TEXT,
    FileStamp,
    file_stamp,
    file_stamps,
    list_files,
    read_text,
    unix_lines,
)
from alsobought.pipes.validation import Describe, Validation
from alsobought.pipes.validation_cache import AnswerColumns, ValidationCache
from alsobought.pipes.variants import NoVariants, Variants

__all__ = ["SOURCE", "AnswerColumns", "Describe", "Entry", "Library", "Pipe"]

log = logging.getLogger(__name__)

Stamp = tuple[FileStamp, ...]
RECHECK_SECONDS = 0.01
RETRY_SECONDS = 1.0  # after which an unchanged file with a fault is validated again


@dataclass
class Entry:
    """A file of the folder: its last valid pipe, and the faults and warnings of its current text."""

    stamp: Stamp = ()
    pipe: Pipe | None = None
    fault: PipeFault | None = None
    warnings: tuple[PipeFault, ...] = ()
    read_at: float = field(default_factory=time.monotonic)

    @property
    def faults(self) -> tuple[PipeFault, ...]:
        """All faults of the current text, in the order of its lines."""
        return self.fault.all if self.fault else ()

    @property
    def findings(self) -> list[dict[str, Any]]:
        """Errors and warnings for editors. A text with an error does not serve."""
        errors = [fault.finding("error") for fault in self.faults]
        return errors + [warning.finding("warning") for warning in self.warnings]

    def is_current(self, stamp: Stamp) -> bool:
        """True if the file need not be read again.

        A fault may disappear without a change of the file: with another pipe, a new table, or less
        load on the machine.
        """
        return self.stamp == stamp and (self.fault is None or time.monotonic() - self.read_at < RETRY_SECONDS)


def is_name(text: str) -> bool:
    """True if a pipe may have this name, which is part of URLs and file names."""
    return text.isidentifier() and text.isascii()


class Library:
    """`library["also_bought"]` is the current version of the pipe."""

    def __init__(
        self,
        folder: Path,
        macros: Path,
        schema: Callable[[], Schema],
        describe: Describe,
        event_types: Collection[str] = (),
        cache: ValidationCache | None = None,
        *,
        constants: Mapping[str, Constant] | None = None,
        variants: Variants | None = None,
        read_tree: ReadTree | None = None,
    ) -> None:
        """`constants` are settings for templates (`sandbox.CONSTANTS`). `variants` are those of the catalogue.

        `read_tree` asks the engine how it reads a text; without it, texts are checked by our own reading only.
        """
        self.folder, self.macros = folder, macros
        self._constants = constants
        self.variants = variants or NoVariants()
        self._event_types = event_types
        self._schema, self._describe, self._read_tree = schema, describe, read_tree
        self._cache = cache or ValidationCache()
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()  # one text at a time: after a saved macro, all pipes have a new one
        self._validated_now = ""
        self._others: Stamp = ()
        self._others_at = -math.inf
        self._recheck = threading.Lock()

    def names(self) -> list[str]:
        return [path.stem for path in list_files(self.folder) if is_name(path.stem)]

    def states(self) -> dict[str, int]:
        """How many files are ready, stale (a fault; the last valid text answers), broken or unread. Reads none."""
        states = dict.fromkeys(("ready", "stale", "broken", "unread"), 0)
        for name in self.names():
            entry = self._entries.get(name)
            if entry is None or not (entry.pipe or entry.fault):
                states["unread"] += 1
            elif entry.pipe is None:
                states["broken"] += 1
            else:
                states["stale" if entry.fault else "ready"] += 1
        return states

    def can_answer(self) -> bool:
        """True if there is a valid pipe. Reads files until it finds one."""
        states = self.states()
        return bool(states["ready"] or states["stale"]) or any(map(self._is_valid, self.names()))

    def _is_valid(self, name: str) -> bool:
        with suppress(NoSuchPipe):  # deleted meanwhile
            return self.entry(name).pipe is not None
        return False

    def __getitem__(self, name: str) -> Pipe:
        """Raises NoSuchPipe, or PipeBroken for a pipe that never had a valid text."""
        entry = self.entry(name)
        if entry.pipe is None:
            raise PipeBroken(f"the pipe {name} is broken", "`alsobought pipe check` shows its faults")
        return entry.pipe

    def is_current(self, name: str, version: str) -> bool:
        """True if this version of a pipe answers. Reads no text."""
        entry = self._entries.get(name)
        if entry is None or entry.pipe is None or entry.pipe.version != version or entry.fault or not entry.stamp:
            return False
        return entry.is_current(self._stamp(self.folder / f"{name}.sql"))

    def answering(self, name: str, request: Mapping[str, Any]) -> Pipe:
        """The pipe that answers these parameters.

        If `@deprecated` moved one of them to another pipe, that is the other pipe under this name.

        Raises NoSuchPipe, PipeBroken.
        """
        pipe = self[name]
        target_name = next((moved.pipe for moved in pipe.header.moved if is_provided(request, moved.name)), "")
        if not target_name:
            return pipe
        target = self[target_name]
        deprecations = (*target.header.deprecated, *pipe.header.deprecated)
        deprecated = {deprecation.name: deprecation for deprecation in deprecations}
        return replace(target, name=name, header=replace(target.header, deprecated=tuple(deprecated.values())))

    def entry(self, name: str) -> Entry:
        """The pipe and its faults, read again if its file or a macro has changed. Raises NoSuchPipe."""
        path = self.folder / f"{name}.sql"
        stamp = self._stamp(path) if is_name(name) else ()
        if not stamp:
            raise NoSuchPipe(f"no pipe called {name!r}", f"There are {', '.join(self.names())}")
        entry = self._entries.get(name)
        if entry and entry.is_current(stamp):
            return entry
        if not self._lock.acquire(blocking=self._must_wait(name, entry, stamp)):
            return entry or Entry()  # another thread validates the new text; the old one serves meanwhile
        self._validated_now = name
        try:
            previous = self._entries.get(name)
            if previous is None or not previous.is_current(stamp):
                entry = self._entries[name] = self._read(path, stamp, previous.pipe if previous else None)
                self._log_findings(name, entry, previous)
            return self._entries[name]
        finally:
            self._validated_now = ""
            self._lock.release()

    def _must_wait(self, name: str, entry: Entry | None, stamp: Stamp) -> bool:
        """True where no text may serve meanwhile: there is none, or its own file was saved and another pipe is validated now."""
        if entry is None or entry.pipe is None:
            return True
        return entry.stamp[:1] != stamp[:1] and self._validated_now != name

    def draft(self, name: str, text: str) -> Entry:
        """The entry that this text would have under this name. Nothing is saved, and the served pipe stays.

        Its `pipe` is None if the text has a fault.
        """
        if not is_name(name):
            fault = PipeFault("not a valid pipe name", "Use letters, digits and _; do not begin with a digit")
            return Entry(fault=fault)
        return self._entry_of(lambda: self._validated(name, unix_lines(text.removeprefix("\ufeff"))))

    def _log_findings(self, name: str, entry: Entry, previous: Entry | None) -> None:
        """Each fault of a file is logged once, although a file with a fault is read again and again."""
        is_unchanged = previous is not None and previous.stamp == entry.stamp
        logged = set(map(_log_text, previous.faults)) if previous and is_unchanged else set()
        consequence = "the last valid text still answers" if entry.pipe else "the pipe cannot answer"
        for fault in entry.faults:
            if _log_text(fault) not in logged:
                log.warning("pipes/%s.sql%s; %s", name, _log_text(fault), consequence)
        for warning in entry.warnings:
            log.info("pipes/%s.sql%s; the pipe answers", name, _log_text(warning))

    def version(self, name: str) -> str:
        """The version of a pipe when it was last read; empty if it never had a valid text."""
        entry = self._entries.get(name)
        return entry.pipe.version if entry and entry.pipe else ""

    def _stamp(self, path: Path) -> Stamp:
        """Empty if the file does not exist, or its name is too long to exist."""
        own = file_stamp(path)
        return (own, *self._stamps_of_others()) if own else ()

    def _stamps_of_others(self) -> Stamp:
        """Those of the macros, CSV files and parameter groups, at most RECHECK_SECONDS old."""
        if time.monotonic() - self._others_at > RECHECK_SECONDS and self._recheck.acquire(blocking=not self._others):
            try:
                home = self.macros.parent
                now = time.monotonic()
                self._others = (
                    *file_stamps(self.macros),
                    *file_stamps(home, ".csv"),
                    *file_stamps(home / GROUP_FOLDER),
                )
                self._others_at = now
            finally:
                self._recheck.release()
        return self._others

    def csv_files(self) -> list[Path]:
        """The CSV files in the parent folder of the macros."""
        return list_files(self.macros.parent, ".csv")

    def csv_faults(self, name: str) -> tuple[PipeFault, ...]:
        """The faults of a CSV file with its own lines, whether or not a pipe uses it."""
        try:
            self._templates().csv(name)
        except PipeFault as fault:
            return fault.all
        return ()

    def groups(self) -> Groups:
        """The parameter groups in their current files."""
        return read_groups(group_files(self.macros))

    def group_faults(self) -> dict[str, tuple[PipeFault, ...]]:
        """{file of a parameter group, relative to `sql`: its faults}, whether or not a pipe uses it."""
        return {
            f"{GROUP_FOLDER}/{name}.sql": group.all if isinstance(group, PipeFault) else ()
            for name, group in self.groups().items()
        }

    def macro_faults(self) -> dict[str, tuple[PipeFault, ...]]:
        """{macro file that cannot be read, relative to `sql`: its faults}, whether or not a pipe uses it."""
        texts = self._templates().texts.items()
        return {f"{self.macros.name}/{name}": text.all for name, text in texts if isinstance(text, PipeFault)}

    def _templates(self) -> Templates:
        allowed_values = {"event_type": self._event_types, "pipe": ("*", *self.names())}
        return environment(self.macros, allowed_values, self._constants)

    def _read(self, path: Path, stamp: Stamp, last_valid: Pipe | None) -> Entry:
        entry = self._entry_of(lambda: self._validated(path.stem, read_text(path)))
        return replace(entry, stamp=stamp, pipe=entry.pipe or last_valid)

    def _entry_of(self, validated: Callable[[], tuple[Pipe, tuple[PipeFault, ...]]]) -> Entry:
        try:
            pipe, warnings = validated()
            return Entry(pipe=pipe, warnings=warnings)
        except PipeFault as error:
            fault = error
        except AlsoboughtError:
            raise  # an error of the warehouse, which the text has not caused
        except UnicodeError:
            fault = PipeFault("the file, or one of the macros, is not UTF-8 text", "Save it as UTF-8")
        except RecursionError:
            fault = PipeFault("nested too deeply", "Name the inner parts in a WITH")
        except Exception as error:  # a bug that an unusual text triggers must not stop the last valid version
            log.debug("a pipe cannot be read", exc_info=error)
            fault = PipeFault(f"cannot be read: {error or type(error).__name__}")
        return Entry(fault=fault)

    def _validated(self, name: str, text: str) -> tuple[Pipe, tuple[PipeFault, ...]]:
        """The pipe of a text, and its warnings. Raises PipeFault."""
        if len(text) > MAX_TEXT:
            raise PipeFault(f"{len(text):,} characters; at most {MAX_TEXT:,}", "Split it into two pipes")
        groups = self.groups()
        header = read_header(text, groups)
        templates = self._templates()
        schema = self._schema()
        validation = Validation(text, header, templates, schema, self._describe, self._cache, self._read_tree)
        validation.run()
        faults = [
            *validation.faults,
            *check_header(name, header, validation, {*self.names(), name}, self._read_header, self._event_types),
        ]
        if faults:
            raise PipeFault.together(faults)
        group_texts = [group.text for name in header.groups if not isinstance(group := groups[name], PipeFault)]
        version = _version(text, templates, group_texts)
        columns, tables = validation.columns, sorted(validation.tables)
        pipe = Pipe(
            name,
            header,
            text,
            version,
            columns,
            tables,
            templates,
            schema,
            validation.rendered,
            lambda: self.variants.exist,
            self._read_tree,
        )
        return pipe, (PipeFault.together(validation.warnings).all if validation.warnings else ())

    def _read_header(self, name: str) -> Header | None:
        try:
            return read_header(read_text(self.folder / f"{name}.sql"), self.groups())
        except (PipeFault, UnicodeError, OSError):
            return None


def _log_text(fault: PipeFault) -> str:
    return f"{f':{fault.line}' if fault.line else ''}: {fault}"


def _version(text: str, templates: Templates, groups: Collection[str]) -> str:
    """A short hash of the text, of all macros, and of the parameter groups and CSV files that it uses."""
    digest = hashlib.sha256(text.encode())
    for other in (
        *map(str, templates.texts.values()),
        *groups,
        *(f"{name}\n{templates.csv_texts[name]}" for name in sorted(templates.csv_read)),
    ):
        digest.update(other.encode())
    return digest.hexdigest()[:12]
