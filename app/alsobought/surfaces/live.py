"""The surfaces and experiments of a project, read again when their files were saved.

A file with a fault is reported and logged, and the last valid one serves. After a start there is none: then the entries without a
fault serve.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from alsobought.errors import AlsoboughtError, PipeFault
from alsobought.pipes import library as pipe_library
from alsobought.pipes.library import Library
from alsobought.pipes.text_files import FileStamp, file_stamp, read_text
from alsobought.settings import packaged_home
from alsobought.surfaces import experiment_file, surface_file
from alsobought.surfaces.draw import Experiments, IsStopped, Layout, nothing_stopped
from alsobought.surfaces.yaml_parts import Faults

log = logging.getLogger(__name__)

T = TypeVar("T")
FILES = (surface_file.NAME, experiment_file.NAME)


class LiveSurfaces:
    """Thread-safe. `stopped` may be replaced: it says which variants are not shown any more."""

    def __init__(self, home: Path, library: Library) -> None:
        self.stopped: IsStopped = nothing_stopped
        self._home, self._library = home, library
        self._layout: Layout | None = None
        self._stamps: tuple[FileStamp, ...] = ()
        self._looked_at = self._read_at = -math.inf
        self._faults: dict[str, tuple[PipeFault, ...]] = {}
        self._reading, self._log_faults = threading.Lock(), True

    def current(self) -> Layout:
        """Those of the files as they are now; reads a file that was saved.

        Raises WarehouseFault where pipes cannot be checked for the first time.
        """
        if layout := self.unchanged():
            return layout
        if not self._reading.acquire(blocking=self._layout is None):
            return self._layout or Layout()  # another thread reads them
        try:
            stamps = self._stamps_now()
            if self._layout is None or self._stamps != stamps or self._is_due():
                self._read(stamps)
            return self._layout or Layout()
        finally:
            self._reading.release()

    def unchanged(self) -> Layout | None:
        """Those of the last reading, or None if a file was saved since. Costs a look at their times every RECHECK_SECONDS."""
        now = time.monotonic()
        if self._layout and now - self._looked_at <= pipe_library.RECHECK_SECONDS:
            return self._layout
        if self._layout is None or self._stamps_now() != self._stamps or self._is_due():
            return None
        self._looked_at = now
        return self._layout

    def checked(self) -> dict[str, tuple[PipeFault, ...]]:
        """{file: its faults}, of both files as they are now. Logs nothing."""
        self._log_faults = False
        self.current()
        return self._faults

    def pipes_of(self, name: str) -> Iterator[str]:
        """The pipes that may answer for a surface, as last read. Reads nothing."""
        layout = self._layout
        if layout and (surface := layout.surfaces.get(name)):
            yield surface.pipe
            experiments = layout.experiments.by_name.values()
            yield from {v.pipe for one in experiments if one.surface == name for v in one.variants if v.pipe}

    def _stamps_now(self) -> tuple[FileStamp, ...]:
        return tuple(file_stamp(self._home / "sql" / name) for name in FILES)

    def _is_due(self) -> bool:
        """True if a fault may have gone without a change of the file, since a pipe exists by now."""
        return bool(self.faults) and time.monotonic() - self._read_at > pipe_library.RETRY_SECONDS

    @property
    def faults(self) -> Mapping[str, tuple[PipeFault, ...]]:
        """{file: its faults}, of files that have some, when they were last read."""
        return {name: faults for name, faults in self._faults.items() if faults}

    def _read(self, stamps: tuple[FileStamp, ...]) -> None:
        last, is_saved = self._layout, stamps != self._stamps
        try:
            surfaces, surface_faults = self._parsed(
                surface_file.NAME, lambda text, faults: surface_file.read_surfaces(text, self._library, faults)
            )
            if surface_faults and last:
                surfaces = {**last.surfaces}
            experiments, experiment_faults = self._parsed(
                experiment_file.NAME,
                lambda text, faults: experiment_file.read_experiments(text, surfaces, self._library, faults),
            )
            if experiment_faults and last:
                experiments = {**last.experiments.by_name}
        except PipeFault:
            raise
        except AlsoboughtError:
            if last is None:
                raise
            return  # pipes cannot be checked now; the next request tries again
        known = () if is_saved else tuple(map(str, (fault for faults in self._faults.values() for fault in faults)))
        self._faults = {surface_file.NAME: surface_faults, experiment_file.NAME: experiment_faults}
        consequence = "the last valid file serves" if last else "it is left out"
        for name, faults in self._faults.items():
            for fault in faults:
                if self._log_faults and str(fault) not in known:
                    log.warning("sql/%s%s: %s; %s", name, f":{fault.line}" if fault.line else "", fault, consequence)
        if last is None or (surfaces, experiments) != (last.surfaces, last.experiments.by_name):
            self._layout = Layout(surfaces, Experiments(experiments, self._is_stopped))
        self._stamps, self._read_at = stamps, time.monotonic()

    def _is_stopped(self, experiment: str, variant: str) -> bool:
        return self.stopped(experiment, variant)

    def _parsed(
        self, name: str, parse: Callable[[str, Faults], dict[str, T]]
    ) -> tuple[dict[str, T], tuple[PipeFault, ...]]:
        """The entries without a fault, and the faults of the file; a project without the file has that of the package."""
        own = self._home / "sql" / name
        faults = Faults()
        try:
            entries = parse(read_text(own if file_stamp(own) else packaged_home() / "sql" / name), faults)
        except PipeFault as fault:
            return {}, (fault,)
        except UnicodeDecodeError:
            return {}, (PipeFault("not UTF-8 text", "Save it as UTF-8"),)
        except OSError as error:
            return {}, (PipeFault(f"cannot be read: {error.strerror}"),)
        own_faults = PipeFault.together(faults.all).all if len(faults) and file_stamp(own) else ()
        return entries, own_faults
