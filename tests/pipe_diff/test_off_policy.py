"""Off-policy estimates of `pipe diff`: the lists of both texts on a log that is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alsobought.pipe_diff.execute import Executor
from alsobought.pipe_diff.off_policy import LOG_PIPE, OffPolicy, off_policy
from alsobought.pipe_diff.report_text import rate
from alsobought.pipe_diff.sides import open_side
from alsobought.service.service import Service

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LISTED = """-- Three items.
--
-- :limit      UInt8 = 3 (1..3)  number of items
-- :explore    Float64? (0..1)   share of positions that show an item from further down
select item_id, nth as position, 1. as propensity
from (select arrayJoin([('tea', 1), ('mug', 2), ('pot', 3)]) as one, one .1 as item_id, one .2 as nth)
where nth > 0 {% if explore %} and {{ explore }} > 0 {% endif %}
order by position, item_id
limit {{ limit }}
"""
LOG = """-- The log.
--
-- :pipe   String            of this pipe
-- :since  DateTime          beginning
-- :until  DateTime          end
-- :limit  UInt32 = 1000     number of rows
select item_id, user_hash, draw_hash, position, propensity, clicked, purchased, parameters
from (
    select
        arrayJoin([ROWS]) as one,
        one .1 as user_hash,
        one .2 as draw_hash,
        one .3 as position,
        one .4 as item_id,
        one .5 as propensity,
        one .6 as clicked,
        false as purchased,
        one .7 as parameters
)
where {{ pipe }} = 'listed' and {{ since }} < {{ until }}
order by user_hash, position, item_id
limit {{ limit }}
"""
EXPLORED, OTHER = '{"explore":[0.4]}', '{"limit":[1],"explore":[0.4]}'
ROWS = [
    ("ada", "d1", 1, "tea", 0.5, True, EXPLORED),
    ("ada", "d1", 2, "mug", 0.8, False, EXPLORED),
    ("bob", "d2", 1, "pot", 0.25, True, EXPLORED),
    ("bob", "d2", 3, "jug", 0.1, False, EXPLORED),
    ("eve", "d3", 1, "tea", 0.5, False, OTHER),
]
REVERSED = ("position, item_id", "position desc, item_id")
Estimate = Callable[..., OffPolicy]


@pytest.fixture(scope="module")
def shop(make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop()


@pytest.fixture
def estimate(shop: Service, tmp_path: Path) -> Estimate:
    """`estimate(REVERSED)`: of the new text with this replacement, from the log of ROWS or of other rows."""

    def run(*changes: tuple[str, str], rows: Sequence[tuple[object, ...]] = ROWS, limit: int = 100) -> OffPolicy:
        for label in ("old", "new"):
            folder = tmp_path / label / "pipes"
            folder.mkdir(parents=True)
            text = LISTED
            for change in changes if label == "new" else ():
                text = text.replace(*change)
            (folder / "listed.sql").write_text(text)
            (folder / f"{LOG_PIPE}.sql").write_text(LOG.replace("ROWS", ", ".join(map(repr, rows))))
        old, new = (open_side(label, tmp_path / label, shop.warehouse, "listed") for label in ("old", "new"))
        assert not new.fault, new.fault
        executor = Executor(shop.warehouse, "listed", NOON, keyed=False)
        return off_policy(old, new, executor, "listed", limit, NOON, lambda _: None)

    return run


def test_impressions_of_what_the_new_text_lists_there_count_by_their_propensity(estimate: Estimate) -> None:
    found = estimate(REVERSED)
    assert not found.reason
    assert found.old
    assert found.new
    assert (found.impressions, found.unused, found.new.users) == (5, 0, 3)
    assert found.new.metrics["click_through_rate"].ips.value == pytest.approx(4 / 5)  # weights 0, 1.25, 4, 0, 0
    assert found.new.metrics["click_through_rate"].snips.value == pytest.approx(4 / 5.25)
    assert found.new.effective == pytest.approx(5.25**2 / (1.25**2 + 16))
    assert found.old.metrics["click_through_rate"].snips.value == pytest.approx(2 / 5.25)  # 2, 1.25, 0, 0, 2
    assert found.old.metrics["click_through_rate"].logged.value == 2 / 5
    assert found.change["click_through_rate"].value > 0
    assert not found.new.is_sound


def test_only_the_newest_requests_are_asked_again(estimate: Estimate) -> None:
    found = estimate(limit=1)
    assert (found.impressions, found.unused) == (4, 1)


def test_a_log_without_chance_supports_no_estimate(estimate: Estimate) -> None:
    found = estimate(rows=[("", "", 0, "", 0.5, False, "")])
    assert not found.new
    assert "Set `explore: 0.1`" in found.reason


def test_a_text_that_explores_by_itself_has_none(estimate: Estimate) -> None:
    found = estimate(("1. as propensity", "0.5 as propensity"))
    assert found.reason == "listed explores without a parameter `explore`: nobody knows its other choices"


def test_an_unknown_end_of_an_interval_is_a_question_mark(estimate: Estimate) -> None:
    one_user = [row for row in ROWS if row[0] == "ada"]
    found = estimate(rows=one_user)
    assert rate(found.change["click_through_rate"], "+") == "+0.00 % (?, ?)"
