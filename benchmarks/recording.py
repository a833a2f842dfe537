"""What it costs a request to be recorded and logged.

    .venv/bin/python -m benchmarks.recording

Nothing is served: these are the calls that the endpoint makes, with an answer of 20 rows. Rows are made and stored later,
by other threads.
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
from alsobought.service.service import Service, open_service
from alsobought.serving.answers import Answer, answer
from alsobought.serving.request_log import BATCH_ROWS, RequestLog, RequestRecord, encode_parameters, to_row
from alsobought.settings import Settings
from alsobought.writer.submission import Submission, utc_now

CALLS = 20_000
GIVEN = {"item_id": ["1082185"], "limit": ["20"]}


def microseconds(call: Callable[[], object], calls: int = CALLS) -> float:
    """The best of five rounds: the others were disturbed."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, time.perf_counter() - started)
    return 1_000_000 * best / calls


def some_answer(shop: Service) -> Answer:
    basket = [
        Event(event_type="purchase", user_id="u", order_id="o", item_id=item)
        for item in ("1082185", *(f"{995242 + number}" for number in range(20)))
    ]
    shop.writer.submit(Submission(basket)).result()
    found = answer(shop.library, shop.warehouse, "also_bought", GIVEN, utc_now())
    if len(found.data) != 20:
        raise SystemExit(f"expected 20 rows, got {len(found.data)}")
    return found


def recording(shop: Service) -> None:
    found, request_log = some_answer(shop), RequestLog(shop.writer)  # not started: records stay in the queue

    def add() -> None:
        request_log.add(
            RequestRecord(
                utc_now(),
                "32fbd00b69444fbc",
                "also_bought",
                found.pipe.version,
                encode_parameters(GIVEN),
                200,
                "",
                0.013,
                found,
            )
        )

    print(f"a request recorded                   {microseconds(add, 9_000):6.2f} µs")
    record = request_log._waiting[0]
    print(f"a row made of it, by the thread      {microseconds(lambda: to_row(record)):6.2f} µs")
    request_log._waiting.clear()
    for rows in (1_000, BATCH_ROWS):
        request_log._waiting.extend([record] * rows)
        started = time.perf_counter()
        request_log.flush()
        print(f"{rows:6,} rows made and stored          {1000 * (time.perf_counter() - started):6.0f} ms")


def logging_lines(folder: Path) -> None:
    request_id.set("32fbd00b69444fbc")
    for form in ("json", "text"):
        with (folder / form).open("w") as stream:
            for level in ("info", "debug"):
                handler = open_log(form, level, stream)
                cost = microseconds(lambda: log_access("GET", "/pipes/also_bought", 200, time.perf_counter()))
                logging.getLogger().removeHandler(handler)
                print(f"a request's line, {form}, level {level:5}   {cost:6.2f} µs")
    json.loads((folder / "json").read_text().splitlines()[-1])


def main() -> None:
    shop = open_service(Settings(dsn="chdb://:memory:", database="recording", record_requests=False))
    try:
        recording(shop)
        with TemporaryDirectory() as folder:
            logging_lines(Path(folder))
    finally:
        shop.close()


if __name__ == "__main__":
    main()
