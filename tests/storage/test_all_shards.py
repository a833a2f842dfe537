"""Two shards answer what one server answers, from the same events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any

import msgspec
import pytest

from alsobought.authoring.row_diff import equal_values
from alsobought.counts.recompute import Slots
from alsobought.counts.serving_checks import compare
from alsobought.errors import NotStored, Unusable, WarehouseFault
from alsobought.items import Item
from alsobought.learning.context import Context
from alsobought.learning.registry import learn
from alsobought.learning.table_swap import exchange_and_invalidate
from alsobought.migrations import runner
from alsobought.pipes.library import Library
from alsobought.pipes.parameters import values
from alsobought.serving.answers import open_library, rows_of
from alsobought.serving.explain import explain
from alsobought.settings import Settings
from alsobought.storage.clickhouse import ClickHouseWarehouse, open_warehouse
from alsobought.storage.distributed import sharded_tables, spread
from alsobought.storage.nodes import Nodes
from alsobought.storage.topology import node_settings, shard_index
from alsobought.users import User
from alsobought.writer.batching import user_of
from alsobought.writer.submission import MaintenanceTask, Submission
from alsobought.writer.writer import Writer
from tests.faults.rig import THOROUGH
from tests.support.process import free_port
from tests.support.project import ROOT
from tests.support.sample_shop import NOW, events, items, requests, users
from tests.support.shards import CLUSTER, shards_setting, two_shards

pytestmark = pytest.mark.journey

ODD_PIPE = """-- A test.
--
-- :limit UInt16 = 1 (1..9)  rows
select item_key, one.other_item_key
from co_baskets as one
where SQL
order by item_key, other_item_key
limit {{ limit }}
"""
SERVING = {  # their columns, without the seq
    "item_companions": "item_key, arraySort(companions)",
    "item_wanted": "item_key, is_learned, arraySort(wanted)",
    "user_history": "user_id, items.item_key, items.event_type, items.events, items.habit, items.last_time",
}


@dataclass(frozen=True)
class Loaded:
    """A server, and the two shards, with a writer each."""

    settings: Settings
    one: Writer
    shards: list[Writer]
    nodes: Nodes
    clock: list[Any]

    @property
    def writers(self) -> list[Writer]:
        return [self.one, *self.shards]

    def store(self, rows: list[Any]) -> None:
        """Items in each shard, and the other rows in that of their user. The clock is that of all."""
        self.clock[0] += timedelta(seconds=1)
        parts = [rows, *(self._part(rows, index) for index in range(len(self.shards)))]
        pairs = zip(self.writers, parts, strict=True)
        for stored in [writer.submit(Submission(part)) for writer, part in pairs if part]:
            stored.result()

    def _part(self, rows: list[Any], index: int) -> list[Any]:
        def belongs(row: Any) -> bool:
            user = row.user_id if isinstance(row, User) else user_of(row)
            return shard_index(user, len(self.shards)) == index

        return [row for row in rows if isinstance(row, Item) or belongs(row)]

    def finish(self) -> None:
        """Waits until all rows of serving tables are made."""
        until = time.monotonic() + 300
        while any(writer.serving.has_work or writer.catalogue.demand_changed for writer in self.writers):
            assert time.monotonic() < until
            time.sleep(0.05)
        for writer in self.writers:  # a reload that is under way
            writer.run(MaintenanceTask(lambda: None, exclusive=False)).result()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    with contextlib.ExitStack() as stack:
        servers = stack.enter_context(two_shards(tmp_path_factory.mktemp("shards")))
        settings = Settings(
            shards=shards_setting(servers),
            cluster=CLUSTER,
            database="shop",
            home=str(ROOT),
            batch_seconds=0.001,
            query_seconds=60,
        )
        of_one = msgspec.structs.replace(node_settings(settings, servers[0].dsn), database="alone")
        of_all = [of_one, *(node_settings(settings, server.dsn) for server in servers)]
        warehouses = [open_warehouse(each) for each in of_all]
        for warehouse in warehouses:
            stack.callback(warehouse.close)
            list(runner.up(warehouse, ROOT / "migrations"))
        nodes = Nodes(settings)
        stack.callback(nodes.close)
        for index, warehouse in enumerate(warehouses[1:]):
            spread(warehouse, CLUSTER, 2)
            nodes.join(warehouse, index)
        clock = [NOW]
        pairs = zip(warehouses, of_all, strict=True)
        one, *shards = [Writer(warehouse, each, lambda: clock[0]) for warehouse, each in pairs]
        loaded = Loaded(settings, one, shards, nodes, clock)
        for writer in loaded.writers:
            writer.start()
            stack.callback(writer.stop)
        loaded.store(items())
        loaded.store(users())
        sample = events(3_000)
        for start in range(0, len(sample), 1_000):
            loaded.store(sample[start : start + 1_000])
        learn_everything(loaded)
        loaded.finish()
        yield loaded


@contextlib.contextmanager
def no_bar(title: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
    yield lambda _: None


def learn_everything(loaded: Loaded) -> None:
    """As with a running service, a writer puts the tables into service."""
    for writer, warehouse in ((loaded.one, loaded.one.warehouse), (loaded.shards[0], loaded.nodes.reads)):
        exchange = partial(_exchange, writer)
        context = Context(warehouse, ROOT, loaded.clock[0], no_bar, exchange)
        learn("neighbours", context, {"people": 2})
        learn("embeddings", context, {"from": "external", "full": True})


def _exchange(writer: Writer, table: str, replacement: str) -> None:
    task = MaintenanceTask(lambda: exchange_and_invalidate([writer], table, replacement), exclusive=True)
    writer.run(task).result()


def rows(warehouse: ClickHouseWarehouse, sql: str) -> list[Any]:
    return warehouse.trusted_rows(sql.replace("DB", warehouse.database)).data


def test_every_pipe_answers_as_on_one_server(loaded: Loaded) -> None:
    one, reads = loaded.one.warehouse, loaded.nodes.reads
    of_one = open_library(node_settings(loaded.settings, one.dsn), one)
    of_shards = open_library(loaded.settings, reads)
    asked = answered = 0
    for name in of_one.names():
        assert of_shards.entry(name).faults == ()
        for request in islice(requests(of_one[name]), None if THOROUGH else 4):
            expected = answer(of_one, one, name, request)
            actual = answer(of_shards, reads, name, request)
            assert same_rows(expected, actual), (name, request, expected, actual)
            asked, answered = asked + 1, answered + bool(expected)
    assert asked > 80
    assert answered > 0.6 * asked, "the sample has answers to most requests"


def answer(library: Library, warehouse: ClickHouseWarehouse, name: str, request: dict[str, Any]) -> list[list[Any]]:
    pipe = library[name]
    raw = {name: value if isinstance(value, list) else [value] for name, value in request.items()}
    return rows_of(warehouse, NOW, pipe, values(pipe.parameters, raw), pipe).data


def same_rows(expected: list[list[Any]], actual: list[list[Any]]) -> bool:
    """Equal but for rounding: sums of fractions in another order may change places where scores are equal."""
    if equal_values(expected, actual):
        return True
    return equal_values(sorted(map(_rounded_numbers, expected)), sorted(map(_rounded_numbers, actual)))


def _rounded_numbers(row: list[Any]) -> list[float]:
    return [round(float(value), 4) for value in row if isinstance(value, (int, float))]


def test_rows_of_serving_tables_are_the_same_on_each_node_and_equal_a_recompute(loaded: Loaded) -> None:
    for name, columns in SERVING.items():
        one, *shards = (
            rows(writer.warehouse, f"select {columns} from DB.{name} order by 1") for writer in loaded.writers
        )
        for shard in shards:
            assert len(shard) > 10
            assert equal_values(_of_users(one, shard) if name == "user_history" else one, shard, 1e-3)
    for writer in loaded.shards:
        for table in writer.serving.tables:
            comparison = compare(writer.warehouse, table, [Slots()])
            assert (comparison.rows > 10, comparison.wrong) == (True, 0), table.name


def _of_users(rows: list[Any], shard: list[Any]) -> list[Any]:
    users = {row[0] for row in shard}
    return [row for row in rows if row[0] in users]


def test_a_changed_row_is_found_by_the_comparison(loaded: Loaded) -> None:
    writer = loaded.shards[1]
    table = next(table for table in writer.serving.tables if table.name == "item_companions")
    key = rows(writer.warehouse, "select max(item_key) from DB.item_companions")[0][0]
    writer.warehouse.command(f"alter table shop.item_companions delete where item_key = {key}")
    assert compare(writer.warehouse, table, [Slots()]).wrong == 1
    writer.serving.make_again([table])
    assert compare(writer.warehouse, table, [Slots()]).wrong == 0


def test_what_a_node_misses_is_made_when_it_is_back(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = loaded.shards
    broken = loaded.nodes.all[1].warehouse
    insert = ClickHouseWarehouse.insert_native

    def refuse(warehouse: ClickHouseWarehouse, table: str, data: bytes) -> None:
        if warehouse is broken:
            raise NotStored("the disk is full")
        insert(warehouse, table, data)

    monkeypatch.setattr(ClickHouseWarehouse, "insert_native", refuse)
    user = next(f"u{number}" for number in range(9) if shard_index(f"u{number}", 2) == 0)
    newest = [event for event in events(3_000) if event.order_id][-1]
    lines = [
        msgspec.structs.replace(newest, event_id=f"{item}-late", user_id=user, order_id="late", item_id=item)
        for item in ("teapot", "slate-coaster")
    ]
    loaded.store(lines)
    assert first.warehouse.cluster
    sql = "select item_key, companions.baskets from DB.item_companions where item_key = cityHash64('slate-coaster')"
    until = time.monotonic() + 30
    while not rows(first.warehouse, sql) or not first.warehouse.cluster.lagging:
        assert time.monotonic() < until
    assert rows(second.warehouse, sql) == []
    position = "select max(recorded_at) from DB.serving_positions"
    recorded = rows(first.warehouse, position)
    first.serving.record()
    assert rows(first.warehouse, position) == recorded, "a crash now would make the rows again"
    monkeypatch.undo()
    while first.warehouse.cluster.lagging:
        assert time.monotonic() < until
        time.sleep(0.05)
    loaded.finish()
    assert rows(second.warehouse, sql) == rows(first.warehouse, sql) == rows(loaded.one.warehouse, sql)


@pytest.mark.thorough
def test_dictionaries_are_those_of_all_shards(loaded: Loaded) -> None:
    for name, columns in (("item_demand", "*"), ("catalogue", "item_key, item_id, title, catalogued")):
        sql = f"select {columns} from DB.{name} order by item_key"
        one, *shards = (rows(writer.warehouse, sql) for writer in loaded.writers)
        assert one == shards[0] == shards[1]
        assert len(one) > 60
    hosts = [writer.warehouse for writer in loaded.shards]
    loaded_rows = "select sum(element_count) from system.dictionaries where database = 'shop_all'"
    assert [rows(host, loaded_rows) for host in hosts] == [[[0]], [[0]]], "they are in memory once"


@pytest.mark.thorough
def test_learned_tables_are_the_same_on_each_node(loaded: Loaded) -> None:
    for table in ("item_neighbours", "item_embeddings"):
        columns = "item_key, neighbours" if table == "item_neighbours" else "item_key, embedding"
        one, *shards = (
            rows(w.warehouse, f"select {columns} from DB.{table} order by item_key") for w in loaded.writers
        )
        assert len(one) > 10
        assert shards[0] == shards[1]
        assert equal_values(one, shards[0], 1e-3)
    runs = [
        rows(writer.warehouse, "select name, events, rows from DB.learned order by name") for writer in loaded.writers
    ]
    assert runs[0] == runs[1] == runs[2]
    assert [name for (name,) in rows(loaded.shards[0].warehouse, "show databases") if name.endswith("_learn")] == []


def test_a_node_is_spread_once_and_follows_its_tables(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse, ran = loaded.shards[0].warehouse, list[str]()
    command = ClickHouseWarehouse.command

    def noted(self: ClickHouseWarehouse, sql: str) -> None:
        ran.append(sql)
        command(self, sql)

    monkeypatch.setattr(ClickHouseWarehouse, "command", noted)
    spread(warehouse, CLUSTER, 2)
    assert ran == ["create database if not exists shop_all"]
    command(warehouse, "create table shop.campaigns (campaign String) engine = MergeTree order by campaign")
    command(warehouse, "create table shop.wishes (user_id String, item_id String) engine = MergeTree order by user_id")
    assert {"campaigns", "wishes"} & sharded_tables(warehouse) == {"wishes"}
    spread(warehouse, CLUSTER, 2)
    kinds = "select name, engine from system.tables where database = 'shop_all' and name in ('campaigns', 'wishes') order by 1"
    assert rows(warehouse, kinds) == [["campaigns", "Alias"], ["wishes", "Distributed"]]
    command(warehouse, "alter table shop.wishes add column since Date")
    spread(warehouse, CLUSTER, 2)
    assert "since" in loaded.nodes.reads.schema()["wishes"]
    for table in ("campaigns", "wishes"):
        command(warehouse, f"drop table shop.{table} sync")
    spread(warehouse, CLUSTER, 2)
    assert rows(warehouse, kinds) == []


def test_another_cluster_is_refused(loaded: Loaded) -> None:
    with pytest.raises(Unusable, match=r"the cluster shop of a node has 2 shards, but ALSOBOUGHT_SHARDS has 3"):
        spread(loaded.shards[0].warehouse, CLUSTER, 3)


def test_nothing_is_written_through_the_tables_of_all_shards(loaded: Loaded) -> None:
    reads = loaded.nodes.reads
    with pytest.raises(WarehouseFault, match="readonly"):
        reads.command("insert into shop_all.item_ids values (1, 'x')")
    with pytest.raises(NotStored, match="readonly"):
        reads.insert("item_ids", b'{"item_key": 1, "item_id": "x"}')
    for writer in loaded.shards:
        queued = "select count() from system.distribution_queue where database = 'shop_all'"
        assert rows(writer.warehouse, queued) == [[0]]


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        (
            "(select count() from co_views as other where other.item_key = one.item_key) > 0",
            "outer one does not work on a cluster",
        ),
        ("item_key in (select item_key from item_ids final)", "item_ids final may have a row of each shard"),
    ],
)
def test_a_pipe_that_does_not_work_over_shards_says_so(loaded: Loaded, sql: str, problem: str) -> None:
    text = ODD_PIPE.replace("SQL", sql)
    library = open_library(loaded.settings, loaded.nodes.reads)
    assert problem in str(library.draft("odd", text).faults[0])
    assert not open_library(loaded.settings, loaded.one.warehouse).draft("odd", text).faults


def test_the_cost_of_a_pipe_is_explained(loaded: Loaded) -> None:
    reads = loaded.nodes.reads
    pipe = open_library(loaded.settings, reads)["also_bought"]
    explained = explain(reads, pipe, {"item_id": ["green-tea"]}, NOW)
    assert "item_companions" in [read.table for read in explained.tables]


def test_a_reload_waits_for_no_node_that_is_down(loaded: Loaded) -> None:
    settings = msgspec.structs.replace(
        loaded.settings, shards=f"{loaded.settings.shards},http://127.0.0.1:{free_port()}"
    )
    nodes = Nodes(settings)
    warehouse = open_warehouse(node_settings(settings, loaded.shards[0].warehouse.dsn))
    nodes.join(warehouse, 0)
    assert warehouse.cluster
    warehouse.cluster.reload(["owners"])
    assert [node.stale for node in nodes.all] == [set(), set(), {"owners"}]
    warehouse.close()
    nodes.close()
