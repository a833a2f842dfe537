"""The invariant: however a stream is cut into batches, repeated, merged or interrupted, every count table equals a recompute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.cases import empty
from app.counts import wrong_rows
from app.events import Event
from app.heal import heal
from app.ingest import Submission, Writer
from app.settings import HOME
from app.shop import Shop
from tests.fold import Happened, fold, tables

CHECKS = HOME / "sql" / "checks"
START = datetime(2025, 11, 30, 22, 30, tzinfo=UTC)

events = st.builds(
    Event,
    event_id=st.integers(0, 60).map("e{}".format),
    event_type=st.sampled_from(["purchase", "purchase", "purchase", "view", "like", "remove_from_cart"]),
    user_id=st.sampled_from(["ada", "bruno"]),
    item_id=st.sampled_from("abcdef"),
    category=st.sampled_from(["", "Kitchen", "Kitchen/Tea"]),
    order_id=st.sampled_from(["", "o1", "o2"]),
    order_size=st.integers(0, 12),
    timestamp=st.integers(0, 300).map(lambda minutes: START + timedelta(minutes=minutes)),
)
after = st.sampled_from(["nothing", "nothing", "merge", "restart", "replay"])
batches = st.lists(st.tuples(st.lists(events, min_size=1, max_size=12), after), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def emptied() -> Iterator[Callable[[], Shop]]:
    """The same shop again and again, empty each time."""
    from app.settings import Settings
    from app.shop import open_shop

    shop = open_shop(Settings(dsn="chdb://:memory:", database="counts", batch_seconds=0.001))

    def emptied() -> Shop:
        empty(shop)
        return shop

    yield emptied
    shop.writer.stop()
    shop.warehouse.command("drop database counts")
    shop.warehouse.close()


@given(batches=batches)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_count_table_equals_a_recompute_whatever_the_batches(
    emptied: Callable[[], Shop], batches: list[tuple[list[Event], str]]
) -> None:
    shop = emptied()
    writer = Writer(shop.warehouse, shop.settings)
    writer.start()
    stored: dict[str, Event] = {}
    for batch, then in batches:
        writer.submit(Submission(batch)).result()
        for event in batch:
            stored.setdefault(event.event_id, event)
        if then == "restart":
            writer.stop()
            writer = Writer(shop.warehouse, shop.settings)
            writer.start()
        elif then == "replay":
            heal(shop.warehouse)
        elif then == "merge":
            shop.warehouse.command("optimize table counts.co_baskets final")
            shop.warehouse.command("optimize table counts.user_items final")
    writer.stop()
    assert tables(shop.warehouse) == fold([_happened(event) for event in stored.values()])
    assert dict(wrong_rows(shop.warehouse, CHECKS)) == dict.fromkeys(_checked(), 0)


def _happened(event: Event) -> Happened:
    assert isinstance(event.timestamp, datetime)
    return Happened(
        event.event_type,
        event.user_id,
        event.item_id,
        event.timestamp,
        event.category,
        event.order_id,
        event.order_size,
    )


def _checked() -> list[str]:
    return sorted(path.stem for path in CHECKS.glob("*.sql"))


def _order(lines: int, user: str = "ada", order: str = "o") -> list[Event]:
    return [
        Event(
            event_id=f"{user}-{order}-{nth}",
            event_type="purchase",
            user_id=user,
            item_id=f"i{nth}",
            order_id=order,
            timestamp=START,
        )
        for nth in range(lines)
    ]


@pytest.mark.parametrize("size", [1, 7, 64, 260])
def test_an_order_pairs_neighbours_up_to_rank_100_wherever_it_is_cut(shop: Shop, size: int) -> None:
    lines = _order(260)
    for at in range(0, 260, size * 13 if size == 1 else size):
        shop.writer.submit(Submission(lines[at : at + (size * 13 if size == 1 else size)])).result()
    assert tables(shop.warehouse)["co_baskets"] == fold([_happened(event) for event in lines])["co_baskets"]
    assert dict(wrong_rows(shop.warehouse, CHECKS))["co_baskets"] == 0


def test_an_order_of_5000_lines_makes_at_most_200_pairs_a_line(shop: Shop) -> None:
    shop.writer.submit(Submission(_order(5000))).result()
    pairs = shop.warehouse.value(f"select sum(baskets) from {shop.settings.database}.co_baskets")
    assert pairs == 2 * (100 * 5000 - 100 * 101 // 2)


def test_two_users_with_the_same_order_id_have_two_orders(shop: Shop) -> None:
    shop.writer.submit(Submission(_order(1, "ada") + _order(2, "bruno")[1:])).result()
    assert tables(shop.warehouse)["co_baskets"] == {}


def test_a_check_finds_a_wrong_count(shop: Shop) -> None:
    shop.writer.submit(Submission(_order(3))).result()
    database = shop.settings.database
    shop.warehouse.command(f"insert into {database}.co_baskets select * from {database}.co_baskets limit 1")
    shop.warehouse.command(f"insert into {database}.user_categories values ('ada', 'Tea', 'view', 1)")
    found = dict(wrong_rows(shop.warehouse, CHECKS))
    assert (found["co_baskets"], found["user_categories"], found["item_hours"]) == (1, 1, 0)
