"""The stream of a service: it begins when Kafka answers, for a service starts and answers pipes without it, too."""

from __future__ import annotations

import logging
import threading

from app.errors import WarehouseFault
from app.ingest import Writer
from app.kafka import topics
from app.settings import Settings
from app.stream import Stream

log = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0


class Reading:
    """Reads on a thread of its own until it is stopped."""

    def __init__(self, writer: Writer, settings: Settings) -> None:
        self._writer, self._settings = writer, settings
        self._stopped = threading.Event()
        self._stream: Stream | None = None
        self._thread = threading.Thread(target=self._run, name="kafka", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._stream:
            self._stream.stop()
            self._thread.join()

    def _run(self) -> None:
        failing = False
        while not self._stopped.is_set():
            try:
                topics(self._settings.kafka)
                self._stream = Stream(self._writer, self._settings)
                self._stream.run()
            except WarehouseFault as error:
                if not failing:
                    log.warning("nothing is read of Kafka yet: %s", error)
                failing = True
                self._stopped.wait(AGAIN_SECONDS)
            except Exception:
                log.exception("reading from Kafka broke off")
                self._stopped.wait(AGAIN_SECONDS)
