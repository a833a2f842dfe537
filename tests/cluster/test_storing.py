"""Storing on two shards: each event once, on the shard of its user, whichever shard fails when."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import pytest

from alsobought.errors import NotStored
from alsobought.events import Event
from alsobought.items import Item
from alsobought.loading.submitter import Submitter
from alsobought.service.service import Service
from alsobought.storage.ledger import resume_offset
from alsobought.storage.topology import shard_index
from alsobought.users import User
from alsobought.writer.submission import Stored, Submission
from tests.cluster.purchases import purchases, shards_of_cluster, stored
from tests.support.clickhouse_server import ClickHouseServer

pytestmark = pytest.mark.journey  # two servers take seconds to start


def numbered(events: Sequence[Event], source: str, first: int = 0, after: Future[Stored] | None = None) -> Submission:
    return Submission(events, source, range(first, first + len(events)), after)


def expected(events: Sequence[Event]) -> list[Counter[str]]:
    """Each event once, on the shard of its user."""
    placed = [Counter[str](), Counter[str]()]
    for event in events:
        placed[shard_index(event.user_id, 2)][event.event_id] += 1
    return placed


def test_rows_go_to_the_shard_of_their_user_and_items_to_both(open_shop: Callable[..., Service]) -> None:
    shop, events = open_shop(), purchases(400, "placed")
    items = [Item(item_id=f"i{number}", title=f"Item {number}", category="tea") for number in range(30)]
    assert shop.writer.submit(Submission(items)).result().rows == 30
    users = [User(user_id=f"placed{number}", attributes={"town": "Ulm"}) for number in range(40)]
    assert shop.writer.submit(Submission(users)).result().rows == 40
    outcome = shop.writer.submit(Submission(events)).result()
    assert (outcome.rows, outcome.duplicates) == (400, 0)
    assert stored(shop, "placed") == expected(events)
    assert shop.writer.submit(Submission([])).result(5).rows == 0
    again = shop.writer.submit(Submission(events)).result()
    assert (again.rows, again.duplicates) == (0, 400)
    assert min(sum(counter.values()) for counter in stored(shop, "placed")) > 100
    for shard in shards_of_cluster(shop):
        category = f"dictGet('{shard.database}.catalogue', 'category', cityHash64(item_id))"
        sql = f"select count(), uniqExact({category}) from {shard.database}.items final"
        assert [list(map(int, row)) for row in shard.trusted_rows(sql).data] == [[30, 1]], "every shard has all items"
    sql = f"select uniqExact(user_id), count() from {shop.warehouse.database}.users final where startsWith(user_id, 'placed')"
    assert [list(map(int, row)) for row in shop.warehouse.trusted_rows(sql).data] == [[40, 40]]


def test_a_batch_of_which_one_shard_stored_its_part_is_completed_once(
    open_shop: Callable[..., Service], servers: list[ClickHouseServer]
) -> None:
    shop, events = open_shop(), purchases(300, "half")
    servers[1].kill()
    with pytest.raises(NotStored):
        shop.writer.submit(numbered(events, "file:half")).result()
    servers[1].start()
    first, second = expected(events)
    assert stored(shop, "half") == [first, Counter()]
    outcome = shop.writer.submit(numbered(events, "file:half")).result()
    assert (outcome.rows, outcome.duplicates) == (sum(second.values()), sum(first.values()))
    assert stored(shop, "half") == [first, second]
    shop.close()
    again = open_shop()  # which recovers
    assert stored(again, "half") == [first, second]


def test_a_load_resumes_before_what_any_shard_lacks(
    open_shop: Callable[..., Service], servers: list[ClickHouseServer]
) -> None:
    shop, events = open_shop(), purchases(1500, "load")
    settled: list[int] = []

    def advance(rows: int) -> None:
        settled.append(rows)
        if len(settled) == 5:
            servers[0].kill()

    submitter = Submitter(shop.writer, advance)
    with pytest.raises(NotStored):
        for first in range(0, 1500, 100):
            submitter.send(numbered(events[first : first + 100], "file:load", first))
        submitter.finish()
    servers[0].start()
    resumed = resume_offset(shop.warehouse, "file:load")
    assert 400 < resumed <= 600, "as far as the shard has its rows that was killed"
    rest = Submitter(shop.writer)
    for first in range(resumed, 1500, 100):
        rest.send(numbered(events[first : first + 100], "file:load", first))
    rest.finish()
    assert stored(shop, "load") == expected(events)


def test_two_writers_store_each_event_once(open_shop: Callable[..., Service]) -> None:
    shops, events = [open_shop(), open_shop()], purchases(600, "two")
    outcomes: list[Stored] = []

    def send(shop: Service) -> None:
        for first in range(0, 600, 50):
            chunk = numbered(events[first : first + 50], "kafka:two", first)
            while True:
                try:
                    outcomes.append(shop.writer.submit(chunk).result())
                    break
                except NotStored:
                    chunk = numbered(events[first : first + 50], "kafka:two", first)

    threads = [threading.Thread(target=send, args=(shop,)) for shop in shops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored(shops[0], "two") == expected(events)
    assert sum(outcome.rows for outcome in outcomes) <= 600


def test_nothing_is_on_its_way_between_the_nodes(open_shop: Callable[..., Service]) -> None:
    """The nodes would store rows later, or twice, that were sent through a Distributed table."""
    shop = open_shop()
    shop.writer.submit(Submission(purchases(100, "queue"))).result()
    for shard in shards_of_cluster(shop):
        assert shard.trusted_rows("select count() from system.distribution_queue").data == [[0]]
        sql = "select count() from system.processes where query ilike 'insert%_all.%'"
        assert shard.trusted_rows(sql).data == [[0]]


@pytest.mark.thorough
def test_events_expire_on_every_shard_while_others_are_stored(open_shop: Callable[..., Service]) -> None:
    shop = open_shop(event_retention_days=365, dedup_window_days=30)
    assert shop.writer.submit(Submission(purchases(50, "kept"))).result().rows == 50
    for shard in shards_of_cluster(shop):
        engine = shard.trusted_rows(
            f"select engine_full from system.tables where database = '{shard.database}' and name = 'events'"
        ).data[0][0]
        assert "TTL" in engine
    shop.close()
    open_shop().writer.submit(Submission(purchases(5, "later"))).result()
