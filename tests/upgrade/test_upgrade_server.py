"""A server is upgraded while a writer of version 0.1 still stores: nothing is lost or counted
twice.

The documented order is: stop the writers, migrate, start the new version. Here somebody does it the
other way round.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support.clickhouse_server import clickhouse_server
from tests.support.process import Run, running, write
from tests.support.project import project_folder
from tests.upgrade.conftest import LAST_OF_0_1, YOUNGER

pytestmark = pytest.mark.journey

EPOCH = 1_700_000_000_000_000
SETTINGS = (
    "async_insert = 0, max_insert_threads = 1, parallel_view_processing = 1,"
    " deduplicate_blocks_in_dependent_materialized_views = 1, materialized_views_ignore_errors = 0, optimize_on_insert = 0,"
    " max_insert_block_size = 100000000, min_insert_block_size_rows = 100000000, min_insert_block_size_bytes = 10000000000,"
    " input_format_parallel_parsing = 0, date_time_input_format = 'best_effort', max_threads = 1"
)
COLUMNS = (
    "select name, type, default_expression from system.columns"
    " where database = 'alsobought' and table = 'events' order by position format JSONCompactEachRow"
)


@pytest.fixture
def server() -> Iterator[str]:
    with clickhouse_server() as started:
        yield started.dsn


def execute(address: str, sql: str) -> str:
    with urlopen(Request(address, sql.encode(), {"Content-Type": "text/plain"})) as reply:
        text: str = reply.read().decode()
        return text


class OldWriter:
    """Inserts as version 0.1 does: a batch is one block under a token, and only while no newer
    epoch is in `writers`.
    """

    def __init__(self, server: str) -> None:
        self.server, self.batches = server, 0
        execute(server, f"insert into alsobought.writers (epoch, holder, stored) values ({EPOCH}, 'old:1', 0)")

    def store(self, attempts: int = 1) -> None:
        """One batch; with more `attempts`, again under the same token, as after a lost reply."""
        number = self.batches = self.batches + 1
        seq, offset = EPOCH + number * 10, 2 * number
        token = f"post:0:{offset}-{offset + 1}:{seq}:{EPOCH}"  # the new version's recovery must come to the same one
        lines = "".join(
            json.dumps(
                {
                    "event_id": f"{number}-{line}",
                    "event_type": "purchase",
                    "user_id": f"u{number % 5}",
                    "order_id": f"o{number}",
                    "item_id": f"i{(number + line) % 7}",
                    "order_size": 2,
                    "quantity": 1,
                    "timestamp": "2026-01-01T12:00:00Z",
                    "properties": "{}",
                    "source": "post",
                    "offset": offset + line,
                    "batch": seq,
                    "epoch": EPOCH,
                    "ingested_at": "2026-01-01T12:00:00Z",
                    "seq": seq + line,
                }
            )
            + "\n"
            for line in range(2)
        )
        for _ in range(attempts):
            columns = [json.loads(line) for line in execute(self.server, COLUMNS).splitlines()]
            structure = ", ".join(
                f"{name} {kind}" + (f" default {default}" if default else "") for name, kind, default in columns
            )
            execute(
                self.server,
                f"insert into alsobought.events settings {SETTINGS}, insert_deduplication_token = '{token}'"
                f" select * from format(JSONEachRow, {quoted(structure)}, {quoted(lines)})"
                f" where (select max(epoch) from alsobought.writers) <= {EPOCH}",
            )


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def events(server: str) -> tuple[int, int]:
    rows, different = execute(server, "select count(), uniqExact(event_id) from alsobought.events").split()
    return int(rows), int(different)


@pytest.fixture
def run(server: str, tmp_path: Path) -> Run:
    """Today's commands, and one more migration than there are: a count table."""
    run = running(tmp_path / "unused", ALSOBOUGHT_DSN=server).at(project_folder(tmp_path / "today"))
    for line in run("migrate", "new", "item_days", "--view").out.splitlines():
        path = Path(line)
        path.write_text(path.read_text().replace("-- …", "-- Events of items by day."))
    return run


@pytest.fixture
def old_run(run: Run, tmp_path: Path) -> Run:
    """A project folder with the migrations of 0.1."""
    home = project_folder(tmp_path / "old")
    for path in sorted((home / "migrations").glob("*.sql"))[LAST_OF_0_1:]:
        path.unlink()
    return run.at(home)


@pytest.mark.thorough
def test_an_old_writer_that_goes_on_during_migrate_up_loses_and_doubles_nothing(
    run: Run, old_run: Run, server: str, tmp_path: Path
) -> None:
    assert old_run("migrate", "up").status == 0
    writer, stop = OldWriter(server), threading.Event()
    for _ in range(5):
        writer.store()

    def store() -> None:
        while not stop.is_set():
            writer.store(attempts=2)

    storing = threading.Thread(target=store)
    storing.start()
    try:
        migrated = run("migrate", "up")
    finally:
        stop.set()
        storing.join()
    assert migrated.status == 0, migrated.err
    during = writer.batches
    assert during > 5
    writer.store()
    assert events(server) == (2 * writer.batches, 2 * writer.batches)
    named = set(re.findall(r"`alsobought rebuild (\w+)`", migrated.out))
    assert {"item_days", "co_baskets"} <= named, "a view that changed may have missed a batch, or counted it twice"
    assert run("rebuild", *named).status == 0
    assert int(execute(server, "select sum(events) from alsobought.item_days")) == 2 * writer.batches
    ran = run("check")
    assert ran.status == 0, ran.out


def test_once_the_new_version_stores_an_old_writer_stores_nothing(
    run: Run, old_run: Run, server: str, tmp_path: Path
) -> None:
    assert old_run("migrate", "up").status == 0
    writer = OldWriter(server)
    writer.store()
    assert run("migrate", "up").status == 0
    line = {"event_type": "view", "user_id": "u", "item_id": "tea"}
    assert run("load", "events", write(tmp_path / "new.ndjson", line)).status == 0
    writer.store()
    assert events(server)[0] == 3
    assert run("rebuild", "item_days", *YOUNGER).status == 0
    ran = run("check")
    assert ran.status == 0, ran.out
