"""Measure the cost of recording and logging a request.

    .venv/bin/python -m benchmarks.recording

Without a server: these are the calls of the endpoint, with an answer of 20 rows. Other threads build and store the rows
later.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from alsobought.events import Event
from alsobought.logs import log_access, open_log, request_id
from alsobought.recommendation_ids import Placement
from alsobought.service.service import Service, open_service
from alsobought.serving.answer import Answer
from alsobought.serving.answers import answer
from alsobought.serving.request_log import RequestLog, RequestRecord, encode_parameters, to_row
from alsobought.serving.row_log import BATCH_ROWS
from alsobought.settings import Settings
from alsobought.writer.submission import Submission, utc_now

CALLS = 20_000
PARAMETERS = {"item_id": ["1082185"], "limit": ["20"]}


def microseconds(call: Callable[[], object], calls: int = CALLS) -> float:
    """The best of five rounds, to exclude disturbances."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, time.perf_counter() - started)
    return 1_000_000 * best / calls


def some_answer(service: Service) -> Answer:
    basket = [
        Event(event_type="purchase", user_id="u", order_id="o", item_id=item)
        for item in ("1082185", *(f"{995242 + number}" for number in range(20)))
    ]
    service.writer.submit(Submission(basket)).result()
    result = answer(service.library, service.warehouse, "also_bought", PARAMETERS, utc_now())
    if len(result.data) != 20:
        raise SystemExit(f"expected 20 rows, got {len(result.data)}")
    return result


def recording(service: Service) -> None:
    result, request_log = some_answer(service), RequestLog(service.writer)  # not started: records stay in the queue

    def add() -> None:
        request_log.add(
            RequestRecord(
                utc_now(),
                "32fbd00b69444fbc",
                Placement("also_bought", result.pipe.version),
                encode_parameters(PARAMETERS),
                200,
                "",
                0.013,
                result,
            )
        )

    print(f"record a request                     {microseconds(add, 9_000):6.2f} µs")
    record = request_log._waiting[0]
    print(f"build its row, in the thread         {microseconds(lambda: to_row(record)):6.2f} µs")
    request_log._waiting.clear()
    for rows in (1_000, BATCH_ROWS):
        request_log._waiting.extend([record] * rows)
        started = time.perf_counter()
        request_log.flush()
        print(f"{rows:6,} rows built and stored         {1000 * (time.perf_counter() - started):6.0f} ms")


def logging_lines(folder: Path) -> None:
    request_id.set("32fbd00b69444fbc")
    for form in ("json", "text"):
        with (folder / form).open("w") as stream:
            for level in ("info", "debug"):
                handler = open_log(form, level, stream)
                cost = microseconds(lambda: log_access("GET", "/pipes/also_bought", 200, time.perf_counter()))
                logging.getLogger().removeHandler(handler)
                print(f"log a request, {form}, level    {level:5}   {cost:6.2f} µs")
    json.loads((folder / "json").read_text().splitlines()[-1])


def main() -> None:
    service = open_service(Settings(dsn="chdb://:memory:", database="recording", record_requests=False))
    try:
        recording(service)
        with TemporaryDirectory() as folder:
            logging_lines(Path(folder))
    finally:
        service.close()


if __name__ == "__main__":
    main()
