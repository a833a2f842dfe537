"""Two shards in one engine, each a warehouse with a writer of its own, and what they hold together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from alsobought.authoring.pipe_tests import clear_service
from alsobought.events import Event
from alsobought.service.service import Service
from alsobought.storage.count_tables import count_tables
from alsobought.storage.topology import shard_index
from alsobought.writer.batching import user_of
from alsobought.writer.sequence import SeqClock
from alsobought.writer.submission import Submission
from alsobought.writer.user_move import accounts_across
from alsobought.writer.writer import Writer

EVENT_COLUMNS = (
    "event_id, event_type, user_id, session_id, guest_id, item_id, category, order_id, order_size, quantity, refunded, price,"
    " timestamp, properties, recommendation_id, position, placement, recommended_at"
)


@dataclass
class Shards:
    """`homes` has the users who live elsewhere than the hash of their name says."""

    shops: list[Service]
    homes: dict[str, int] = field(default_factory=dict)

    @property
    def writers(self) -> list[Writer]:
        return [shop.writers[0] for shop in self.shops]

    def shard_of(self, user: str) -> int:
        return self.homes.get(user, shard_index(user, len(self.shops)))

    def restart(self) -> None:
        """New writers, as after a crash: those before are not asked to finish anything."""
        for shop in self.shops:
            shop.writer.stop()
        seq = SeqClock(self.shops[0].clock)
        self.shops = [
            replace(shop, writer=Writer(shop.warehouse, shop.settings, shop.clock, seq)) for shop in self.shops
        ]
        for shop in self.shops:
            shop.writer.start()

    def clear(self) -> None:
        self.homes.clear()
        for shop in self.shops:
            shop.writer.stop()
            clear_service(shop)
        self.restart()

    def send(self, events: Sequence[Event]) -> None:
        """Stores each event on the shard of its account."""
        users = [user_of(event) for event in events]
        accounts = accounts_across(self.writers, users) if users else {}
        for number, writer in enumerate(self.writers):
            of_shard = [
                event
                for event, user in zip(events, users, strict=True)
                if self.shard_of(accounts.get(user, user)) == number
            ]
            if of_shard:
                writer.submit(Submission(of_shard)).result()


def all_rows(shops: Sequence[Service], sql: Callable[[str], str]) -> list[list[Any]]:
    """The rows of a SELECT over each database, together and in order."""
    return sorted(
        (row for shop in shops for row in shop.warehouse.trusted_rows(sql(shop.warehouse.database)).data), key=repr
    )


def all_events(shops: Sequence[Service]) -> list[list[Any]]:
    return all_rows(shops, lambda database: f"select {EVENT_COLUMNS} from {database}.events")


def summed_counts(shops: Sequence[Service]) -> dict[str, dict[str, list[int]]]:
    """{table: {key: sums over all shards}} of every table of signed sums, without zeros."""
    found: dict[str, dict[str, list[int]]] = {}
    for table in count_tables(shops[0].warehouse):
        if table.is_summing:
            keys, sums = ", ".join(table.keys), ", ".join(f"sum({value})" for value in table.values)
            counts = found.setdefault(table.name, {})
            for shop in shops:
                sql = f"select toString(tuple({keys})), [{sums}] from {shop.warehouse.database}.{table.name}"
                for key, values in shop.warehouse.trusted_rows(f"{sql} group by {keys}").data:
                    counts[key] = [sum(both) for both in zip(counts.get(key, [0] * 9), values, strict=False)]
            found[table.name] = {key: values for key, values in counts.items() if any(values)}
    return found


def opened(make: Callable[[str], Service], names: Sequence[str]) -> Iterator[Shards]:
    shards = Shards([make(name) for name in names])
    shards.restart()
    yield shards
    for shop in shards.shops:
        shop.writer.stop()


def at(clock: datetime) -> Callable[[], datetime]:
    return lambda: clock
