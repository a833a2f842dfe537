"""The audit of offset ranges: missed offsets and sums that do not add up."""

from __future__ import annotations

from datetime import timedelta

from alsobought.kafka.offset_audit import Gap, alarms, gaps, unbalanced_ranges
from alsobought.service.service import Service
from tests.conftest import NOON
from tests.kafka.offset_ranges import SOURCE, checkpoint, consumed


def first_offsets(shop: Service) -> list[int]:
    """First offsets of the unbalanced ranges."""
    return [unbalanced.first_offset for unbalanced in unbalanced_ranges(shop.warehouse)]


def test_ranges_that_are_adjacent_overlap_or_are_checkpointed_twice_have_no_gap(shop: Service) -> None:
    checkpoint(
        shop,
        consumed(50, 60),
        consumed(60, 70),
        consumed(65, 68),
        consumed(66, 90),
        consumed(90, 91),
        consumed(0, 5, partition=1),
    )
    checkpoint(shop, consumed(60, 70), consumed(70, 80, "kafka:events:old"))
    assert gaps(shop.warehouse) == []
    assert alarms(shop.warehouse) == []


def test_missed_offsets_between_two_ranges_are_a_gap(shop: Service) -> None:
    checkpoint(
        shop,
        consumed(0, 10),
        consumed(2, 4),
        consumed(12, 20),
        consumed(20, 21),
        consumed(30, 40),
        consumed(7, 9, partition=3),
    )
    checkpoint(
        shop, consumed(10, 11, "kafka:items:new"), consumed(15, 16, "kafka:items:new"), consumed(11, 12, partition=3)
    )
    assert gaps(shop.warehouse) == [
        Gap(SOURCE, 0, 10, 12),
        Gap(SOURCE, 0, 21, 30),
        Gap(SOURCE, 3, 9, 11),
        Gap("kafka:items:new", 0, 11, 15),
    ]
    assert alarms(shop.warehouse)[0] == "events/0: 2 offsets from 10 on were missed"
    checkpoint(
        shop, consumed(10, 12), consumed(21, 30), consumed(8, 11, partition=3), consumed(0, 16, "kafka:items:new")
    )
    assert gaps(shop.warehouse) == [], "the offsets were read later"


def test_a_range_that_does_not_add_up_is_an_alarm(shop: Service) -> None:
    balanced = [
        consumed(0, 10, stored=3, repeats=2, refused=1, skipped=4),
        consumed(10, 20, messages=3, stored=3),
    ]  # Kafka skips offsets
    checkpoint(shop, *balanced, consumed(20, 30, stored=9), consumed(30, 40, messages=11, stored=11))
    assert first_offsets(shop) == [20, 30]
    assert alarms(shop.warehouse) == [
        "events/0, offsets 20 to 30: 9 stored, 0 duplicates, 0 rejected and 0 skipped are not 10 messages",
        "events/0, offsets 30 to 40: 11 messages are more than there are offsets",
    ]
    checkpoint(shop, consumed(20, 30, noted_at=NOON + timedelta(seconds=1)))
    assert first_offsets(shop) == [30], "the latest checkpoint of a range counts"


def test_a_long_list_of_alarms_is_shortened(shop: Service) -> None:
    checkpoint(shop, *(consumed(10 * n, 10 * n + 1) for n in range(30)))
    sentences = alarms(shop.warehouse)
    assert (len(sentences), sentences[-1]) == (21, "and 9 more gaps")
