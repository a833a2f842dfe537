"""kill -9 of whoever reads Kafka, at every step and at random moments: nothing lost, nothing counted twice."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.mixed import mixed
from tests.faults.rig import THOROUGH, Rig
from tests.support.process import Run
from tests.support.project import ROOT

KILLS = int(os.environ.get("KILLS", "4"))
FEW = ["ingest.after_insert:3", "stream.dead_letters", "stream.stored:3"]
MORE = [
    *("ingest.before_insert", "ingest.before_insert:3", "ingest.after_insert"),
    *("stream.stored", "stream.noted", "stream.noted:2", "stream.committed:2"),
]


def _poisoned(made: Rig) -> Rig:
    made.stream = mixed(3, repeated=0.01, reordered=0.01, poison=0.01)
    return made


def _killed_at_each(rig: Rig, points: list[str]) -> None:
    for point in points:
        rig.flow(2500 if THOROUGH else 1500)
        rig.ingester(point).killed()
    rig.ingester()
    where = "server" if rig.dsn.startswith("http") else "embedded"
    rig.settle(f"kill -9 of the ingester at a step, {where}", len(points))


def test_killed_at_any_step_the_ingester_loses_and_doubles_nothing_embedded(make_rig: Callable[..., Rig]) -> None:
    _killed_at_each(_poisoned(make_rig()), FEW)


@pytest.mark.thorough
def test_killed_at_any_step_the_ingester_loses_and_doubles_nothing_on_a_server(
    make_rig: Callable[..., Rig], server: str
) -> None:
    _killed_at_each(_poisoned(make_rig(server)), ["ingest.after_insert:3", "stream.stored:2"])


@pytest.mark.thorough
@pytest.mark.parametrize("place", ["embedded", "server"])
def test_killed_at_every_step_the_ingester_loses_and_doubles_nothing(
    make_rig: Callable[..., Rig], server: str, place: str
) -> None:
    _killed_at_each(_poisoned(make_rig(server if place == "server" else "")), [*FEW, *MORE])


def test_killed_before_kafka_is_told_the_next_tells_it(make_rig: Callable[..., Rig]) -> None:
    """Nothing more comes: who looks at Kafka's own displays of lag must not see one for ever."""
    rig = make_rig()
    rig.flow(500)
    rig.ingester("stream.noted").killed()
    rig.ingester()
    rig.wait(lambda: rig.committed() == 500, 20)


@pytest.mark.parametrize("words", ["ingest", "serve"])
@pytest.mark.thorough
def test_killed_at_random_moments_under_load_the_one_with_the_folder_loses_nothing(
    make_rig: Callable[..., Rig], words: str
) -> None:
    rig = _poisoned(make_rig())
    kills = KILLS if words == "ingest" else max(2, KILLS // 3)
    rng = random.Random(5)
    with rig.flowing():
        for _ in range(kills):
            one = rig.ingester(words=(words,))
            rig.more(1)
            time.sleep(rng.uniform(0, 1.5))
            one.kill()
    rig.ingester(words=(words,))
    rig.settle(f"kill -9 of `{words}` at random moments, embedded", kills)


@pytest.mark.thorough
def test_killed_at_random_moments_under_load_the_ingester_of_a_server_loses_nothing(
    make_rig: Callable[..., Rig], server: str
) -> None:
    """Another stands by, so that the way from one to the next is tried, too."""
    rig = _poisoned(make_rig(server))
    kills = max(2, KILLS // 2)
    rng = random.Random(6)
    one = rig.ingester()
    with rig.flowing():
        for _ in range(kills):
            following = rig.ingester()
            rig.more(200)
            time.sleep(rng.uniform(0, 0.7))
            one.kill()
            one = following
    rig.settle("kill -9 of the ingester at random moments, server", kills)


def _records(rig: Rig, table: str) -> Path:
    """Where a table of the folder keeps what it remembers of inserts."""
    return Path(rig.dsn.removeprefix("chdb://"), "data", rig.database, table, "deduplication_logs")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.txt"))


def _killed_when_it_grows(rig: Rig, folder: Path) -> None:
    """The kill falls between the record of a part and the part, or right behind it."""
    size = _size(folder)
    one = rig.ingester()
    until = time.monotonic() + 30
    while _size(folder) == size:
        assert one.runs, one.said
        assert time.monotonic() < until, one.said
    one.kill()


TABLES = sorted(path.stem.removesuffix("_mv") for path in (ROOT / "sql" / "schema").glob("*_mv.sql"))


@pytest.mark.parametrize(
    "tables", [["co_baskets", "item_hours", "events"], pytest.param([*TABLES, "events"], marks=pytest.mark.thorough)]
)
@pytest.mark.thorough
def test_killed_when_a_table_has_noted_an_insert_it_gets_it_all_the_same(
    make_rig: Callable[..., Rig], tables: list[str]
) -> None:
    rig = _poisoned(make_rig())
    rig.flow(300)
    rig.ingester()
    rig.drained()
    assert rig.ingesters[-1].stop() == 0
    for table in tables:
        rig.flow(1500)
        _killed_when_it_grows(rig, _records(rig, table))
    rig.ingester()
    rig.settle("kill -9 when a table notes an insert", len(tables))


WINDOWS = """
from alsobought.settings import from_environment
from alsobought.storage.clickhouse import open_warehouse
warehouse = open_warehouse(from_environment())
sql = "select name from system.tables where create_table_query like '%deduplication_window = 0%'"
print(warehouse.trusted_rows(sql).data)
warehouse.close()
"""


def _take_newest_part(rig: Rig, table: str) -> None:
    """What kill -9 between a table's note of an insert and its part leaves behind."""
    newest = max(_records(rig, table).glob("*.txt"), key=lambda path: int(path.stem.rpartition("_")[2]))
    part = newest.read_text().splitlines()[-1].split("\t")[1]
    shutil.rmtree(_records(rig, table).parent / part)


@pytest.mark.thorough
def test_killed_while_it_heals_the_next_heals_to_the_end(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    rig = _poisoned(make_rig())
    rig.flow(500)
    rig.ingester("stream.stored").killed()
    for table in ("item_hours", "user_items"):
        _take_newest_part(rig, table)
    points = ["recovery.cleared", "recovery.cleared", "recovery.before_insert"][not THOROUGH :]
    for point in points:
        rig.ingester(point).killed()
    rig.ingester()
    rig.flow(500)
    rig.settle("kill -9 while it recovers", len(points))
    run = Run(rig.environment(), folder=tmp_path)
    assert run.python(WINDOWS) == "[]\n"
