"""While the service runs: is anything of Kafka left out, how far is reading, and do the counts add up?

`status` is renewed a few times a minute, and `/metrics` shows it. Whether the counts add up is asked by the writer between two
batches, when they must; that is cheap, and rarely done. What is wrong is logged as an error, once.
"""

from __future__ import annotations

import logging
import threading
import time

from app.counts import wrong_sums
from app.errors import AlsoboughtError
from app.ingest import Writer
from app.intake import Errand
from app.lag import Status, status

log = logging.getLogger(__name__)

STATUS_SECONDS, SUMS_SECONDS = 15.0, 600.0


class Watch:
    """`look` at once, or `start` a thread that looks again and again."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._settings = writer, writer.settings
        self._warehouse = writer.warehouse.another()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._sums: list[str] = []
        self.status: Status | None = None

    @property
    def alarms(self) -> list[str]:
        return [*self._sums, *(self.status.alarms if self.status else [])]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._warehouse.close()

    def look(self, *, at_sums: bool = True) -> None:
        """Raises what keeps the warehouse from answering."""
        before = self.alarms
        if self._settings.kafka:
            self.status = status(self._warehouse, self._settings, self._writer.clock)
        if at_sums and self._writer.alive:
            self._writer.run(Errand(self._add_up)).result()
        for alarm in self.alarms:
            if alarm not in before:
                log.error("%s; `alsobought ingest --status` and `alsobought check` tell more", alarm)

    def _run(self) -> None:
        summed = time.monotonic()
        while not self._stopped.wait(STATUS_SECONDS):
            due = time.monotonic() - summed > SUMS_SECONDS
            summed = time.monotonic() if due else summed
            try:
                self.look(at_sums=due)
            except AlsoboughtError as error:
                log.warning("whether all is right could not be asked: %s", error)

    def _add_up(self) -> None:
        if not self._writer.torn:  # else the views may lack a batch, which they get before the next
            self._sums = wrong_sums(self._writer.warehouse, self._settings.home_folder / "sql" / "sums.sql")
