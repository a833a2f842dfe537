"""The invariant: however a stream is batched, repeated, merged or interrupted, every count table
equals a recompute.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alsobought.authoring.pipe_tests import clear_service
from alsobought.counts.rebuild import Rebuilt, rebuild
from alsobought.counts.rebuild_tasks import RebuildPlan
from alsobought.counts.sum_checks import wrong_rows
from alsobought.errors import NotStored
from alsobought.events import Event
from alsobought.service.maintenance import finish_refunds, run_task
from alsobought.service.service import Service
from alsobought.writer.recovery import recover
from alsobought.writer.submission import MaintenanceTask, Submission
from alsobought.writer.writer import Writer
from tests.support.engines import Engine, drop
from tests.support.fold import ALL, StoredEvent, fold, tables
from tests.support.project import ROOT
from tests.support.recommended import SENT, placement_of
from tests.support.refunds import without_refunded

pytestmark = pytest.mark.usefixtures("known_ids")

CHECKS = ROOT / "sql" / "checks"
START = datetime(2025, 11, 30, 22, 30, tzinfo=UTC)

actions = st.builds(
    Event,
    event_id=st.integers(0, 60).map("e{}".format),
    event_type=st.sampled_from(["purchase", "purchase", "purchase", "view", "view", "like"]),
    user_id=st.sampled_from(["ada", "bruno"]),
    item_id=st.sampled_from("abcdef"),
    category=st.sampled_from(["", "Kitchen", "Kitchen/Tea"]),
    order_id=st.sampled_from(["", "o1", "o2"]),
    order_size=st.integers(0, 12),
    session_id=st.sampled_from(["", "s1", "s2"]),
    quantity=st.integers(0, 3),
    price=st.sampled_from([0.0, 1.25, 10.0001]),
    timestamp=st.integers(0, 300).map(lambda minutes: START + timedelta(minutes=minutes)),
    properties=st.sampled_from(
        [msgspec.UNSET, {}, *({"place": place} for place in ("Finland", "Suomi/Ähtäri 'n\\", 5, 5.5, ["Finland"]))]
    ),
    recommendation_id=st.sampled_from(SENT),
    position=st.integers(0, 3),
)
refunds = st.builds(
    Event,
    event_id=st.integers(0, 60).map("e{}".format),
    event_type=st.just("refund"),
    user_id=st.sampled_from(["ada", "bruno"]),
    item_id=st.sampled_from("abcdef"),
    order_id=st.sampled_from(["", "o1", "o2"]),
    quantity=st.sampled_from([msgspec.UNSET, 1, 2]),
    timestamp=st.integers(0, 300).map(lambda minutes: START + timedelta(minutes=minutes)),
)
whole_orders = refunds.map(lambda event: msgspec.structs.replace(event, item_id="", order_id="o1"))
events = st.one_of(actions, actions, actions, actions, refunds, whole_orders)
after = st.sampled_from(["nothing", "nothing", "optimize", "merge", "unmerge", "restart", "replay", "rebuild"])
batches = st.lists(st.tuples(st.lists(events, min_size=1, max_size=12), after), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def emptied(on: Engine) -> Iterator[Callable[[], Service]]:
    """One service, emptied for each example."""
    shop = on.shop("counts")

    def emptied() -> Service:
        clear_service(shop)
        return shop

    yield emptied
    drop(shop)


@pytest.mark.journey
@given(batches=batches)
@settings(
    max_examples=int(os.environ.get("EXAMPLES", "5")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_count_table_equals_a_recompute_whatever_the_batches(
    emptied: Callable[[], Service], batches: list[tuple[list[Event], str]]
) -> None:
    shop = emptied()
    writer = Writer(shop.warehouse, shop.settings)
    writer.start()
    stored: dict[str, Event] = {}
    merged = False
    for batch, then in batches:
        writer.submit(Submission(batch)).result()
        for event in batch:
            stored.setdefault(event.event_id, event)
        if then == "restart":
            writer.stop()
            writer = Writer(shop.warehouse, shop.settings)
            writer.start()
        elif then == "replay":
            recover(shop.warehouse)
        elif then == "merge" or (then == "unmerge" and merged):
            run_task(writer, *(["merge", "bruno", "ada"] if then == "merge" else ["unmerge", "bruno"]))
            merged = then == "merge"
        elif then == "optimize":
            for table in (
                "co_baskets",
                "co_purchases",
                "co_views",
                "item_totals",
                "user_items",
                "session_items",
                "item_users",
                "touches",
            ):
                shop.warehouse.command(f"optimize table {shop.settings.database}.{table} final")
        elif then == "rebuild":
            _rebuild(shop, writer, sorted(_checked())[len(stored) % len(_checked())])
    apply_refunds(writer)
    writer.stop()
    current = [msgspec.structs.replace(event, user_id="ada") if merged else event for event in stored.values()]
    assert tables(shop.warehouse) == fold([_happened(event) for event in without_refunded(current)])
    assert dict(wrong_rows(shop.warehouse, CHECKS)) == right()


def apply_refunds(writer: Writer) -> None:
    """Takes back what refunds say, however lately others were."""
    writer.run(MaintenanceTask(lambda: finish_refunds(writer), exclusive=True)).result()


def _rebuild(shop: Service, writer: Writer, name: str) -> None:
    """Rebuilds one table with this writer, in slices of a few events, after its rows were deleted."""
    shop.warehouse.command(f"truncate table {shop.settings.database}.{name}")
    rebuilt(replace(shop, settings=msgspec.structs.replace(shop.settings, batch_rows=5), writer=writer), name)


def rebuilt(shop: Service, *names: str, since: str = "") -> list[Rebuilt]:
    """Rebuilds these tables as the command does."""
    plans = msgspec.convert(shop.do("plan a rebuild", names, since), list[RebuildPlan])
    return [rebuild(shop, plan, lambda *_: nullcontext(lambda _: None)) for plan in plans]


def _happened(event: Event) -> StoredEvent:
    assert isinstance(event.timestamp, datetime)
    return StoredEvent(
        event.event_type,
        event.user_id,
        event.item_id,
        event.timestamp,
        event.category,
        event.order_id,
        event.order_size,
        event.session_id,
        1 if event.quantity is msgspec.UNSET else event.quantity,
        Decimal(str(event.price)),
        event.properties or "",
        event.recommendation_id,
        event.position,
        *placement_of(event.recommendation_id, event.timestamp),
    )


def _checked() -> list[str]:
    return sorted(path.stem for path in CHECKS.glob("*.sql"))


def right() -> dict[str, int]:
    """What `wrong_rows` finds where every count table and every serving table is right."""
    return dict.fromkeys([*_checked(), *(path.stem for path in (ROOT / "sql" / "serving").glob("*.sql"))], 0)


def _order(lines: int, user: str = "ada", order: str = "o", kind: str = "purchase") -> list[Event]:
    """One event for each of so many items, in one order and one session."""
    return [
        Event(
            event_id=f"{user}-{order}-{kind}-{nth}",
            event_type=kind,
            user_id=user,
            item_id=f"i{nth}",
            order_id=order,
            session_id="s",
            timestamp=START,
        )
        for nth in range(lines)
    ]


@pytest.mark.parametrize(
    "sizes",
    [
        [260],
        pytest.param([64, 1], marks=pytest.mark.embedded),
        pytest.param([7], marks=pytest.mark.thorough),
        pytest.param([13], marks=pytest.mark.thorough),
    ],
)
def test_the_reach_of_pairs_does_not_depend_on_batch_boundaries(shop: Service, sizes: list[int]) -> None:
    lines = [event for pair in zip(_order(260), _order(260, kind="view"), strict=True) for event in pair]
    cuts = itertools.cycle(sizes)
    at = 0
    while at < len(lines):
        size = next(cuts)
        shop.writer.submit(Submission(lines[at : at + size])).result()
        at += size
    assert tables(shop.warehouse) == fold([_happened(event) for event in lines])
    assert dict(wrong_rows(shop.warehouse, CHECKS)) == right()


def test_a_group_of_5000_items_makes_at_most_twice_the_reach_of_pairs_per_item(shop: Service) -> None:
    shop.writer.submit(Submission(_order(5000))).result()
    for table, counted, reach in (("co_baskets", "baskets", 100), ("co_purchases", "buyers", 20)):
        pairs = shop.warehouse.value(f"select sum({counted}) from {shop.settings.database}.{table}")
        assert pairs == 2 * (reach * 5000 - reach * (reach + 1) // 2)


# The toy data that public examples of these scores use: distinct groups count, whatever is bought twice.
TOY = {"u1": "ABCBBB", "u2": "ABD", "u3": "AB", "u4": "ACAA", "u5": "BCD", "u6": "A", "u7": "CE", "u8": "DE"}


def test_counts_of_groups_with_both_items_with_one_and_of_all_are_right(shop: Service) -> None:
    bought = [
        Event(event_type="purchase", user_id=user, item_id=item, order_id=f"o-{user}", timestamp=START)
        for user, items in TOY.items()
        for item in items
    ]
    for at in range(0, len(bought), 5):
        shop.writer.submit(Submission(bought[at : at + 5])).result()
    counted = tables(shop.warehouse)
    month = START.date().replace(day=1)
    for pairs in ("co_purchases", "co_baskets"):
        assert {other: counted[pairs]["A", other, month][0] for other in "BCD"} == {"B": 3, "C": 2, "D": 1}
    members = {item: counted["item_totals"][item, month] for item in [ALL, *"ABCDE"]}
    assert members == {ALL: [8, 8, 0]} | {item: [n, n, 0] for item, n in zip("ABCDE", (5, 4, 4, 3, 2), strict=True)}


def test_two_users_with_the_same_order_id_have_two_orders(shop: Service) -> None:
    shop.writer.submit(Submission(_order(1, "ada") + _order(2, "bruno")[1:])).result()
    assert tables(shop.warehouse)["co_baskets"] == {}


def test_a_check_finds_a_wrong_count(shop: Service) -> None:
    shop.writer.submit(Submission(_order(3))).result()
    database = shop.settings.database
    shop.warehouse.command(f"insert into {database}.co_baskets select * from {database}.co_baskets limit 1")
    shop.warehouse.command(f"insert into {database}.user_categories values ('ada', 'Tea', 'view', 1)")
    shop.warehouse.command(f"insert into {database}.buyer_items values (1, 1, 1)")
    shop.warehouse.command(f"insert into {database}.item_totals values (1, '2026-01-01', 1, 0, -1)")
    shop.warehouse.command(f"insert into {database}.daily_popularity values ('2026-01-01', 'view', 1, 0, 0, 0, 0.01)")
    wrong = {table: rows for table, rows in wrong_rows(shop.warehouse, CHECKS) if rows and table in _checked()}
    assert wrong == {"co_baskets": 1, "user_categories": 1, "item_totals": 1, "daily_popularity": 1, "buyer_items": 1}


def test_with_a_full_disk_at_the_start_answers_go_on_and_recovery_precedes_the_next_batch(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.writer.submit(Submission(_order(2))).result()
    shop.writer.stop()
    shop.warehouse.command(f"truncate table {shop.settings.database}.co_baskets")  # as if the view had missed the batch
    refusal = NotStored("Cannot reserve 1.00 MiB, not enough space")

    def refuse(*_: object) -> None:
        raise refusal

    with monkeypatch.context() as full:
        full.setattr(type(shop.warehouse), "insert_select", refuse)
        writer = Writer(shop.warehouse, shop.settings)
        writer.start()
        with pytest.raises(NotStored):
            writer.submit(Submission(_order(1, "bruno"))).result()
    assert shop.warehouse.value(f"select sum(baskets) from {shop.settings.database}.co_baskets") == 0
    writer.submit(Submission(_order(1, "bruno"))).result()
    writer.stop()
    assert dict(wrong_rows(shop.warehouse, CHECKS)) == right()
