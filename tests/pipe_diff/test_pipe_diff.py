"""Two texts of a pipe on one warehouse: requests, comparison and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from alsobought.errors import Unusable
from alsobought.pipe_diff.compare import build_report
from alsobought.pipe_diff.execute import Executor, Pair, execute, unknown_parameters
from alsobought.pipe_diff.markdown import to_markdown
from alsobought.pipe_diff.off_policy import OffPolicy
from alsobought.pipe_diff.pseudonyms import Pseudonyms, identifies_user
from alsobought.pipe_diff.report import Report, ratio
from alsobought.pipe_diff.requests import Request, read_requests, recorded_requests, write_requests
from alsobought.pipe_diff.sides import Side, open_side
from alsobought.pipe_diff.thresholds import Thresholds, missed_thresholds
from alsobought.service.service import Service
from alsobought.storage.results import Rows
from alsobought.storage.warehouse import Reader
from alsobought.web.factory import create_app
from alsobought.writer.submission import utc_now
from tests.conftest import NOON
from tests.support.process import write
from tests.support.web import VIEW

SEEN = """-- The items that a user viewed, the most viewed first.
--
-- :user_id  String                the user
-- :top      UInt16 = 10 (1..100)  number of items; not called limit, so that the fallback fills empty lists only
--
-- @fallback most
select item_id, sum(user_items.events) as times
from user_items
where user_id = {{ user_id }}
group by item_id
order by times desc, item_id
limit {{ top }}
"""
MOST = """-- The items that all users viewed.
--
-- :limit  UInt16 = 10 (1..100)  number of items
select item_id, count() as times
from events
group by item_id
order by times desc, item_id
limit {{ limit }}
"""
KEYED = """-- The events of several items.
--
-- :item_id  String  the item
--
-- @key item_id
select item_id, concat(item_id, '-', event_type) as other_item_id
from events
where item_id in {{ item_id }}
group by item_id, other_item_id
order by item_id, other_item_id
limit 10
"""
Sides = Callable[..., tuple[Side, Side]]


@pytest.fixture(scope="module")
def shop(make_shared_shop: Callable[..., Service]) -> Service:
    """For tests that only read, or write about another user. With the current time: old requests would expire."""
    shop = make_shared_shop(utc_now)
    views = {"ada": {"tea": 3, "mug": 2, "pot": 1}, "bob": {"tea": 1}}
    events = [
        VIEW | {"user_id": user, "item_id": item}
        for user, items in views.items()
        for item, times in items.items()
        for _ in range(times)
    ]
    assert create_app(shop).test_client().post("/events?wait=true", json=events).status_code == 200
    return shop


@pytest.fixture
def sides(shop: Service, tmp_path: Path) -> Sides:
    """`sides("seen", seen=("desc", "asc"))`: the pipe as above, and with one text replaced."""

    def make(name: str, **changes: tuple[str, str]) -> tuple[Side, Side]:
        for label in ("old", "new"):
            (tmp_path / label / "pipes").mkdir(parents=True)
            for pipe, text in (("seen", SEEN), ("most", MOST), ("many", KEYED)):
                changed = text.replace(*changes[pipe]) if label == "new" and pipe in changes else text
                assert pipe not in changes or label == "old" or changed != text
                (tmp_path / label / "pipes" / f"{pipe}.sql").write_text(changed)
        old, new = (open_side(label, tmp_path / label, shop.warehouse, name) for label in ("old", "new"))
        return old, new

    return make


def executed(shop: Service, both: tuple[Side, Side], *requests: Request, warehouse: Reader | None = None) -> list[Pair]:
    pipe = both[0].pipe or both[1].pipe
    assert pipe
    executor = Executor(warehouse or shop.warehouse, pipe.name, NOON, keyed=bool(both[0].key and both[1].key))
    return execute(*both, executor, requests, lambda _: None)


def compared(both: tuple[Side, Side], pairs: list[Pair], with_users: bool = False, **thresholds: Any) -> Report:
    return build_report("seen", *both, pairs, NOON, Thresholds(**thresholds), OffPolicy(), with_users)


ADA, BOB = Request({"user_id": ["ada"]}, times=3), Request({"user_id": ["bob"]})
EVE = Request({"user_id": ["eve"]})  # without events: the fallback answers


def test_equal_texts_have_equal_answers(shop: Service, sides: Sides) -> None:
    both = sides("seen")
    result = compared(both, executed(shop, both, ADA, BOB, EVE), min_overlap=1, max_rows_read=1, max_empty=0)
    assert result.lists
    assert (result.lists.same, result.lists.jaccard, result.lists.rank_biased) == (1, 1, 1)
    assert (result.requests, result.asked, result.compared, result.unsteady) == (3, 5, 3, 0)
    assert (result.old.empty, result.old.fallback) == (0, 0.2)
    assert result.old.version == result.new.version
    assert result.rows_read
    assert result.rows_read.median.old == result.rows_read.median.new > 0
    assert (result.examples, result.only_old, result.only_new, result.missed) == ([], [], [], [])


def test_changes_equal_those_counted_by_hand(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("times desc, item_id\nlimit {{ top }}", "times, item_id\nlimit 2 + 0 * {{ top }}"))
    result = compared(both, executed(shop, both, ADA, BOB))
    assert result.lists  # ada, 3 of 4: tea mug pot → pot mug; bob: tea → tea
    ranked = (0 + 0.9 * 1 / 2 + 0.81 * 2 / 3) / 2.71
    assert (result.lists.same, result.lists.values, result.lists.order, result.lists.items) == (0.25, 0, 0, 0.75)
    assert result.lists.jaccard == pytest.approx(0.75 * 2 / 3 + 0.25)
    assert result.lists.rank_biased == pytest.approx(0.75 * ranked + 0.25)
    (example,) = result.examples
    assert (example.parameters, example.times) == ({"user_id": ["user 1"]}, 3)
    assert [(item.item, item.moved) for item in example.old] == [("tea", "gone"), ("mug", ""), ("pot", "")]
    assert [(item.item, item.moved) for item in example.new] == [("pot", "+2"), ("mug", "")]
    assert (result.old.items, result.new.items, result.only_old, result.only_new) == (3, 3, [], []), (
        "bob still has the tea"
    )


def test_exclusive_items_and_other_values_are_reported(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("where user_id", "where item_id != 'tea' and user_id"))
    result = compared(both, executed(shop, both, ADA))
    assert [(item.item, item.times) for item in result.only_old] == [("tea", 3)]
    both = sides_again(both, shop, SEEN.replace("sum(user_items.events)", "1 + sum(user_items.events)"))
    result = compared(both, executed(shop, both, ADA, BOB))
    assert result.lists
    assert (result.lists.values, result.lists.rank_biased) == (1, 1)


def sides_again(both: tuple[Side, Side], shop: Service, text: str) -> tuple[Side, Side]:
    """The sides with another new text."""
    folder = both[1].library.folder
    (folder / "seen.sql").write_text(text)
    return both[0], open_side("new", folder.parent, shop.warehouse, "seen")


def test_answers_for_several_keys_are_compared_list_by_list(shop: Service, sides: Sides) -> None:
    both = sides("many", many=("'-', event_type", "if(item_id = 'tea', '-', '+'), event_type"))
    (pair,) = executed(shop, both, Request({"item_id": ["tea", "mug"]}))
    assert pair.new.lists == {"tea": ["tea-view"], "mug": ["mug+view"]}
    result = compared(both, [pair])
    assert result.lists
    assert result.lists.rank_biased == 0.5
    assert [(example.key, example.old[0].item, example.new[0].item) for example in result.examples] == [
        ("mug", "mug-view", "mug+view")
    ]
    old, new = both
    assert old.pipe
    by_user = replace(old, pipe=replace(old.pipe, header=replace(old.pipe.header, key="member_id")))
    for order in ((by_user, new), (new, by_user)):
        assert compared(order, [pair]).examples[0].key == "user 1"


def test_errors_fail_only_where_the_old_text_had_none(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("10 (1..100)", "3 (1..5)"))
    pairs = executed(shop, both, ADA, Request({"user_id": ["ada"], "top": ["7"]}), Request({"top": [3]}))
    result = compared(both, pairs)
    assert (result.old.failed.requests, result.new.failed.requests, result.new.failed.alone, result.compared) == (
        1,
        2,
        1,
        1,
    )
    assert result.missed == ["new errors: 1, the first: top: '7' is not between 1 and 5"]
    both = sides_again(both, shop, SEEN + "select")
    result = compared(both, executed(shop, both, ADA), min_overlap=0.5)
    assert "pipes/seen.sql:13" in result.new.failed.first
    assert result.missed == [f"new errors: 1, the first: {result.new.failed.first}"]
    assert "❌" in to_markdown(result)


def test_removed_and_retyped_columns_fail_unless_allowed(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("sum(user_items.events) as times", "1 as a, toString(sum(user_items.events)) as times"))
    pairs = executed(shop, both, ADA)
    assert compared(both, pairs).missed == ["the column times was Int64 and is String"]
    assert compared(both, pairs).columns.added == {"a": "UInt8"}
    assert compared(both, pairs, allow_columns=True).missed == []
    swapped = (both[1], both[0])
    assert compared(swapped, executed(shop, swapped, ADA)).missed[0] == "the column a was removed"


def test_each_threshold_fails_by_its_own_value(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("where user_id", "where 1 = 0 and user_id"), most=("count()", "count() - 100"))
    result = compared(both, executed(shop, both, ADA, BOB))
    assert (result.new.fallback, result.new.empty) == (1, 0)
    result = msgspec.structs.replace(result, new=msgspec.structs.replace(result.new, empty=0.25))
    assert result.seconds
    slow, read = ratio(1.0, 1.6), ratio(0.0, 5.0)
    result = msgspec.structs.replace(
        result,
        seconds=msgspec.structs.replace(result.seconds, median=slow),
        rows_read=msgspec.structs.replace(result.seconds, median=slow, p95=read),
    )
    for thresholds, part in (
        (Thresholds(min_overlap=0.99), "the mean overlap is 0."),
        (Thresholds(max_slower=1.5), "the median time is 1.60 times, over 1.5"),
        (Thresholds(max_rows_read=2), "the p95 of rows read is from 0, over 2"),
        (Thresholds(max_empty=0.2), "25.0% of the answers are empty, over 20.0%"),
    ):
        (sentence,) = missed_thresholds(result, thresholds)
        assert part in sentence
    assert missed_thresholds(result, Thresholds(min_overlap=0.1, max_slower=1.6, max_empty=0.25)) == []


def test_a_parameter_unknown_to_one_side_is_omitted_and_counted(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("top      UInt16", "most     UInt16"))
    text = SEEN.replace("top      UInt16", "most     UInt16").replace("{{ top }}", "{{ most }}")
    both = sides_again(both, shop, text)
    pairs = executed(shop, both, Request({"user_id": ["ada"], "top": [1]}), Request({"user_id": ["ada"], "most": [1]}))
    assert [(len(pair.old.rows), len(pair.new.rows)) for pair in pairs] == [(1, 3), (3, 1)]
    assert (unknown_parameters(pairs, both[0]), unknown_parameters(pairs, both[1])) == ({"most": 1}, {"top": 1})


class ChangingReader(Reader):
    """Each of the first `times` reads has a new row."""

    def __init__(self, inner: Reader, times: int) -> None:
        self._inner = inner
        self._reads, self._times = 0, times

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        rows = self._inner.rows(sql, parameters)
        self._reads += 1
        return msgspec.structs.replace(rows, data=[*rows.data, [f"n{min(self._reads, self._times)}", 1]])


def test_rows_stored_during_the_comparison_are_no_difference(shop: Service, sides: Sides) -> None:
    both = sides("seen")
    (pair,) = executed(
        shop, both, ADA, warehouse=ChangingReader(shop.warehouse, 4)
    )  # two for the warm-up, two for the first pair
    assert (pair.steady, pair.old.rows) == (True, pair.new.rows)
    (pair,) = executed(shop, both, ADA, warehouse=ChangingReader(shop.warehouse, 1000))
    assert not pair.steady
    assert compared(both, [pair]).unsteady == 1


# Pseudonyms


def test_users_have_pseudonyms_unless_requested(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("times desc", "times"))
    pairs = executed(shop, both, ADA, Request({"user_id": ["ada", "ada"]}))
    for text in (msgspec.json.encode(compared(both, pairs)).decode(), to_markdown(compared(both, pairs))):
        assert "user 1" in text
        assert "ada" not in text
    assert "ada" in to_markdown(compared(both, pairs, with_users=True))


@pytest.mark.parametrize(
    ("name", "values", "error"),
    [
        ("user_id", ["x" * 1001], "user_id: 1,001 characters; at most 1,000"),
        ("user_ids", ["7,ada"], "limit: '7' is not a date; user_ids: 'ada' is not a whole number"),
        ("user_ids", [["ada"]], """user_ids: ["ada"] is not a string"""),
        ("viewer", ["ada"], "the engine does not read 'ada'"),
    ],
)
def test_an_error_about_a_user_contains_only_the_parameter(name: str, values: list[Any], error: str) -> None:
    request = Request({name: values, "limit": ["7"]})
    assert Pseudonyms(False).error(request, error) == f"a value of {name} was rejected"
    assert Pseudonyms(True).error(request, error) == error
    for other in ("limit: '7' is not a date", f"pipes/seen.sql:3: there is no column {name}"):
        assert Pseudonyms(False).error(request, other) == other


def test_words_for_users_are_recognised_in_singular_and_plural() -> None:
    names = "users shoppers userid userIds uid account_id member_id viewer viewers session_id emails"
    assert [name for name in names.split() if not identifies_user(name)] == []
    assert not any(map(identifies_user, ["item_id", "category", "limit", "words", "uses", "address", "paid"]))


def test_markdown_shows_untrusted_input_as_text(shop: Service, sides: Sides) -> None:
    both = sides("many", many=("'-', event_type", "'+', event_type"))
    evil = "tea` | @all <b>\x1b[31m\n# head"
    pairs = executed(shop, both, Request({"item_id": ["tea", evil]}))
    text = to_markdown(compared(both, pairs))
    assert r"`item_id=tea item_id=tea' \| @all <b>�[31m�# head`" in text
    assert "\x1b" not in text


# Requests


def test_recorded_requests_are_the_newest_distinct_ones_with_their_counts(shop: Service, client: FlaskClient) -> None:
    for path in ("item_id=tea&limit=3", "limit=3&item_id=tea", "item_id=mug", "limit=3&item_id=tea", "item_id=pot"):
        assert client.get(f"/pipes/also_bought?{path}").status_code == 200
    assert client.get("/pipes/also_bought").status_code == 400
    first = client.get("/pipes/trending?limit=1").get_json()
    assert client.get(f"/pipes/trending?limit=1&cursor={first['next']}").status_code == 200
    assert shop.request_log
    shop.request_log.flush()
    tea = Request({"item_id": ["tea"], "limit": ["3"]}, 3)
    requests = recorded_requests(shop.warehouse, "also_bought", 200)
    assert sorted(requests, key=str) == sorted(
        [tea, *(Request({"item_id": [item]}) for item in ("mug", "pot"))], key=str
    )
    assert len(recorded_requests(shop.warehouse, "also_bought", 1)) == 1
    assert recorded_requests(shop.warehouse, "trending", 200) == [Request({"limit": ["1"]})], "later pages are left out"
    with pytest.raises(Unusable, match="no request to for_you is recorded"):
        recorded_requests(shop.warehouse, "for_you", 200)


def test_a_file_of_requests_round_trips(tmp_path: Path) -> None:
    requests = [Request({"item_id": ["tea\u2028", "mug"], "limit": [3]}, 4), Request({}, 1, NOON), Request({})]
    write_requests(tmp_path / "r.ndjson", requests)
    assert read_requests(tmp_path / "r.ndjson", 200) == requests
    write(tmp_path / "r.ndjson", {"item_id": "tea", "category": None}, "", {"item_id": ["tea"]}, {"item_id": "mug"})
    assert read_requests(tmp_path / "r.ndjson", 1) == [Request({"item_id": ["tea"]}, 2)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[1]", "r.ndjson:2: Expected `object`, got `array`"),
        ('{"item_id": "tea"', "r.ndjson:2: "),
        ('{"@times": 0}', "r.ndjson:2: @times is 0"),
        ('{"now": "soon"}', "r.ndjson:2: now is 'soon'"),
    ],
)
def test_an_invalid_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(Unusable, match=problem):
        read_requests(write(tmp_path / "r.ndjson", {"item_id": "tea"}, line), 200)
    with pytest.raises(Unusable, match="contains no request"):
        read_requests(write(tmp_path / "r.ndjson", ""), 200)
