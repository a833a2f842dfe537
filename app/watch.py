"""Now and then, while the service runs: do the counts add up, and was nothing of Kafka left out?

Cheap, and done by the writer between two batches, when every count must be right. What is found is logged as an error, and
`/metrics` has the number: alarms are made of those.
"""

from __future__ import annotations

import logging
import threading

from app.counts import wrong_sums
from app.errors import AlsoboughtError
from app.ingest import Writer
from app.intake import Errand
from app.lag import disagreements, gaps

log = logging.getLogger(__name__)

EVERY_SECONDS = 600.0


class Watch:
    """`look` once, or `start` a thread that looks again and again."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._stopped = writer, threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.wrong: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Raises what keeps the warehouse from answering."""
        self._writer.run(Errand(self._look)).result()

    def _run(self) -> None:
        while not self._stopped.wait(EVERY_SECONDS):
            try:
                self.look()
            except AlsoboughtError as error:
                log.warning("whether the counts are right could not be asked: %s", error)

    def _look(self) -> None:
        warehouse, home = self._writer.warehouse, self._writer.settings.home_folder
        if self._writer.torn:  # what failed last is mended before the next batch
            return
        wrong = [
            *wrong_sums(warehouse, home / "sql" / "sums.sql"),
            *map(str, gaps(warehouse)),
            *map(str, disagreements(warehouse)),
        ]
        for sentence in wrong:
            if sentence not in self.wrong:
                log.error("%s; `alsobought check` tells more", sentence)
        self.wrong = wrong
