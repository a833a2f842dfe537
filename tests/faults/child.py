"""The process that is killed: `write DSN SEED` or `verify DSN`.

`write` submits small batches for ever and prints each event_id once it is acknowledged. `verify`
recovers, then prints the stored events and the tables that are wrong.
"""

from __future__ import annotations

import json
import random
import sys
import time
from datetime import UTC, datetime

from alsobought.counts.sum_checks import wrong_rows
from alsobought.events import Event
from alsobought.service.service import open_service
from alsobought.settings import Settings
from alsobought.writer.submission import MaintenanceTask, Submission
from tests.support.project import ROOT


def write(dsn: str, seed: int) -> None:
    rng = random.Random(seed)
    service = open_service(Settings(dsn=dsn, batch_seconds=0.001))
    print("ready", flush=True)  # noqa: T201
    number = 0
    while True:
        batch = []
        for _ in range(rng.choice([1, 1, 5, 200])):
            number += 1
            batch.append(
                Event(
                    event_id=f"{seed}-{number}",
                    event_type=rng.choice(["purchase", "purchase", "view"]),
                    user_id=f"u{rng.randrange(20)}",
                    item_id=f"i{rng.randrange(60)}",
                    order_id=f"o{rng.randrange(30)}",
                    category="Kitchen",
                    timestamp=datetime(2026, 1, 1, rng.randrange(24), tzinfo=UTC),
                )
            )
        submission = Submission(batch)
        stored = service.writer.submit(submission)
        if not submission.logged or rng.random() < 0.3:  # what is in the append log is acknowledged at once
            stored.result()
        time.sleep(rng.choice([0, 0, 0.02]))
        print(" ".join(event.event_id for event in batch), flush=True)  # noqa: T201


def verify(dsn: str) -> None:
    service = open_service(Settings(dsn=dsn))
    service.writer.run(MaintenanceTask(lambda: None)).result()  # stands behind what the append log still has
    rows = service.warehouse.trusted_rows("select event_id, count() from alsobought.events group by event_id").data
    wrong = dict(wrong_rows(service.warehouse, ROOT / "sql" / "checks"))
    service.close()
    print(json.dumps({"stored": dict(rows), "wrong": wrong}))  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]))
    else:
        verify(sys.argv[2])
