"""Two texts of a pipe on one shop: what is asked, what is compared, and what a report says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from alsobought.errors import Unusable
from alsobought.pipe_diff.ask import Pair, Side, replay, side, unknown
from alsobought.pipe_diff.compare import report
from alsobought.pipe_diff.markdown import markdown
from alsobought.pipe_diff.people import People, names_a_person
from alsobought.pipe_diff.report import Report, Thresholds, missed, ratio
from alsobought.pipe_diff.requests import Request, read_requests, recorded, write_requests
from alsobought.service.service import Service
from alsobought.storage.results import Rows
from alsobought.storage.warehouse import Reader
from alsobought.web.factory import create_app
from alsobought.writer.submission import utc_now
from tests.conftest import NOON
from tests.support.process import write
from tests.support.web import VIEW

SEEN = """-- What somebody looked at, the most first.
--
-- :user_id  String                who
-- :top      UInt16 = 10 (1..100)  how many; not called limit, so that the fallback fills empty lists only
--
-- @fallback most
select item_id, sum(user_items.events) as times
from user_items
where user_id = {{ user_id }}
group by item_id
order by times desc, item_id
limit {{ top }}
"""
MOST = """-- What all looked at.
--
-- :limit  UInt16 = 10 (1..100)  how many
select item_id, count() as times
from events
group by item_id
order by times desc, item_id
limit {{ limit }}
"""
MANY = """-- What goes with it.
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
    """For tests that only read, or write about somebody else. By the clock of today: old requests would go."""
    shop = make_shared_shop(utc_now)
    views = {"ada": {"tea": 3, "mug": 2, "pot": 1}, "bob": {"tea": 1}}
    posted = [
        VIEW | {"user_id": user, "item_id": item}
        for user, items in views.items()
        for item, times in items.items()
        for _ in range(times)
    ]
    assert create_app(shop).test_client().post("/events?wait=true", json=posted).status_code == 200
    return shop


@pytest.fixture
def sides(shop: Service, tmp_path: Path) -> Sides:
    """`sides("seen", seen=("desc", "asc"))`: the pipe as it is above, and with one word for another."""

    def made(name: str, **changes: tuple[str, str]) -> tuple[Side, Side]:
        for which in ("old", "new"):
            (tmp_path / which / "pipes").mkdir(parents=True)
            for pipe, text in (("seen", SEEN), ("most", MOST), ("many", MANY)):
                now = text.replace(*changes[pipe]) if which == "new" and pipe in changes else text
                assert pipe not in changes or which == "old" or now != text
                (tmp_path / which / "pipes" / f"{pipe}.sql").write_text(now)
        old, new = (side(which, tmp_path / which, shop.warehouse, name) for which in ("old", "new"))
        return old, new

    return made


def asked(shop: Service, both: tuple[Side, Side], *requests: Request, warehouse: Reader | None = None) -> list[Pair]:
    pipe = both[0].pipe or both[1].pipe
    assert pipe
    return replay(*both, warehouse or shop.warehouse, pipe.name, requests, NOON, lambda _: None)


def compared(both: tuple[Side, Side], pairs: list[Pair], named: bool = False, **thresholds: Any) -> Report:
    return report("seen", *both, pairs, NOON, Thresholds(**thresholds), named)


ADA, BOB = Request({"user_id": ["ada"]}, times=3), Request({"user_id": ["bob"]})
EVE = Request({"user_id": ["eve"]})  # never there: the fallback answers


def test_the_same_text_says_the_same(shop: Service, sides: Sides) -> None:
    both = sides("seen")
    made = compared(both, asked(shop, both, ADA, BOB, EVE), min_overlap=1, max_rows_read=1, max_empty=0)
    assert made.lists
    assert (made.lists.same, made.lists.jaccard, made.lists.rank_biased) == (1, 1, 1)
    assert (made.requests, made.asked, made.compared, made.unsteady) == (3, 5, 3, 0)
    assert (made.old.empty, made.old.fallback) == (0, 0.2)
    assert made.old.version == made.new.version
    assert made.rows_read
    assert made.rows_read.median.old == made.rows_read.median.new > 0
    assert (made.examples, made.only_old, made.only_new, made.missed) == ([], [], [], [])


def test_what_changed_is_counted_by_hand(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("times desc, item_id\nlimit {{ top }}", "times, item_id\nlimit 2 + 0 * {{ top }}"))
    made = compared(both, asked(shop, both, ADA, BOB))
    assert made.lists  # ada, 3 of 4: tea mug pot → pot mug; bob: tea → tea
    ranked = (0 + 0.9 * 1 / 2 + 0.81 * 2 / 3) / 2.71
    assert (made.lists.same, made.lists.values, made.lists.order, made.lists.items) == (0.25, 0, 0, 0.75)
    assert made.lists.jaccard == pytest.approx(0.75 * 2 / 3 + 0.25)
    assert made.lists.rank_biased == pytest.approx(0.75 * ranked + 0.25)
    (example,) = made.examples
    assert (example.parameters, example.times) == ({"user_id": ["person 1"]}, 3)
    assert [(one.item, one.moved) for one in example.old] == [("tea", "gone"), ("mug", ""), ("pot", "")]
    assert [(one.item, one.moved) for one in example.new] == [("pot", "+2"), ("mug", "")]
    assert (made.old.items, made.new.items, made.only_old, made.only_new) == (3, 3, [], []), "bob still sees the tea"


def test_items_that_one_side_never_shows_and_other_values_are_told(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("where user_id", "where item_id != 'tea' and user_id"))
    made = compared(both, asked(shop, both, ADA))
    assert [(one.item, one.times) for one in made.only_old] == [("tea", 3)]
    both = sides_again(both, shop, SEEN.replace("sum(user_items.events)", "1 + sum(user_items.events)"))
    made = compared(both, asked(shop, both, ADA, BOB))
    assert made.lists
    assert (made.lists.values, made.lists.rank_biased) == (1, 1)


def sides_again(both: tuple[Side, Side], shop: Service, text: str) -> tuple[Side, Side]:
    """The same with another new text."""
    folder = both[1].library.folder
    (folder / "seen.sql").write_text(text)
    return both[0], side("new", folder.parent, shop.warehouse, "seen")


def test_answers_for_several_keys_are_compared_list_by_list(shop: Service, sides: Sides) -> None:
    both = sides("many", many=("'-', event_type", "if(item_id = 'tea', '-', '+'), event_type"))
    (pair,) = asked(shop, both, Request({"item_id": ["tea", "mug"]}))
    assert pair.new.lists == {"tea": ["tea-view"], "mug": ["mug+view"]}
    made = compared(both, [pair])
    assert made.lists
    assert made.lists.rank_biased == 0.5
    assert [(one.key, one.old[0].item, one.new[0].item) for one in made.examples] == [("mug", "mug-view", "mug+view")]
    old, new = both
    assert old.pipe
    by_person = replace(old, pipe=replace(old.pipe, header=replace(old.pipe.header, key="member_id")))
    for turned in ((by_person, new), (new, by_person)):
        assert compared(turned, [pair]).examples[0].key == "person 1"


def test_errors_fail_only_where_the_old_text_had_none(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("10 (1..100)", "3 (1..5)"))
    pairs = asked(shop, both, ADA, Request({"user_id": ["ada"], "top": ["7"]}), Request({"top": [3]}))
    made = compared(both, pairs)
    assert (made.old.failed.requests, made.new.failed.requests, made.new.failed.alone, made.compared) == (1, 2, 1, 1)
    assert made.missed == ["new errors: 1, the first: top: '7' is not between 1 and 5"]
    both = sides_again(both, shop, SEEN + "select")
    made = compared(both, asked(shop, both, ADA), min_overlap=0.5)
    assert "pipes/seen.sql:13" in made.new.failed.first
    assert made.missed == [f"new errors: 1, the first: {made.new.failed.first}"]
    assert "❌" in markdown(made)


def test_columns_that_go_or_change_their_type_fail_unless_allowed(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("sum(user_items.events) as times", "1 as a, toString(sum(user_items.events)) as times"))
    pairs = asked(shop, both, ADA)
    assert compared(both, pairs).missed == ["the column times was Int64 and is String"]
    assert compared(both, pairs).columns.added == {"a": "UInt8"}
    assert compared(both, pairs, allow_columns=True).missed == []
    turned = (both[1], both[0])
    assert compared(turned, asked(shop, turned, ADA)).missed[0] == "the column a is gone"


def test_each_threshold_fails_by_its_own_number(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("where user_id", "where 1 = 0 and user_id"), most=("count()", "count() - 100"))
    made = compared(both, asked(shop, both, ADA, BOB))
    assert (made.new.fallback, made.new.empty) == (1, 0)
    made = msgspec.structs.replace(made, new=msgspec.structs.replace(made.new, empty=0.25))
    assert made.seconds
    slow, read = ratio(1.0, 1.6), ratio(0.0, 5.0)
    made = msgspec.structs.replace(
        made,
        seconds=msgspec.structs.replace(made.seconds, median=slow),
        rows_read=msgspec.structs.replace(made.seconds, median=slow, p95=read),
    )
    for thresholds, part in (
        (Thresholds(min_overlap=0.99), "the mean overlap is 0."),
        (Thresholds(max_slower=1.5), "the median time is 1.60 times, over 1.5"),
        (Thresholds(max_rows_read=2), "the p95 of rows read is from 0, over 2"),
        (Thresholds(max_empty=0.2), "25.0% of the answers are empty, over 20.0%"),
    ):
        (sentence,) = missed(made, thresholds)
        assert part in sentence
    assert missed(made, Thresholds(min_overlap=0.1, max_slower=1.6, max_empty=0.25)) == []


def test_a_parameter_that_one_side_does_not_know_is_left_out_and_counted(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("top      UInt16", "most     UInt16"))
    text = SEEN.replace("top      UInt16", "most     UInt16").replace("{{ top }}", "{{ most }}")
    both = sides_again(both, shop, text)
    pairs = asked(shop, both, Request({"user_id": ["ada"], "top": [1]}), Request({"user_id": ["ada"], "most": [1]}))
    assert [(len(pair.old.rows), len(pair.new.rows)) for pair in pairs] == [(1, 3), (3, 1)]
    assert (unknown(pairs, both[0]), unknown(pairs, both[1])) == ({"most": 1}, {"top": 1})


class Moving(Reader):
    """Each of the first so many reads finds something that the one before it did not."""

    def __init__(self, inner: Reader, times: int) -> None:
        self._inner = inner
        self._reads, self._times = 0, times

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        found = self._inner.rows(sql, parameters)
        self._reads += 1
        return msgspec.structs.replace(found, data=[*found.data, [f"n{min(self._reads, self._times)}", 1]])


def test_what_is_stored_meanwhile_is_no_difference(shop: Service, sides: Sides) -> None:
    both = sides("seen")
    (pair,) = asked(shop, both, ADA, warehouse=Moving(shop.warehouse, 4))  # two to warm up, two of the first pair
    assert (pair.steady, pair.old.rows) == (True, pair.new.rows)
    (pair,) = asked(shop, both, ADA, warehouse=Moving(shop.warehouse, 1000))
    assert not pair.steady
    assert compared(both, [pair]).unsteady == 1


# People


def test_nobody_is_named_unless_asked_for(shop: Service, sides: Sides) -> None:
    both = sides("seen", seen=("times desc", "times"))
    pairs = asked(shop, both, ADA, Request({"user_id": ["ada", "ada"]}))
    for shown in (msgspec.json.encode(compared(both, pairs)).decode(), markdown(compared(both, pairs))):
        assert "person 1" in shown
        assert "ada" not in shown
    assert "ada" in markdown(compared(both, pairs, named=True))


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("user_id", ["x" * 1001], "user_id: 1,001 characters; at most 1,000"),
        ("user_ids", ["7,ada"], "limit: '7' is not a date; user_ids: 'ada' is not a whole number"),
        ("user_ids", [["ada"]], """user_ids: ["ada"] is not a text"""),
        ("viewer", ["ada"], "the engine does not read 'ada'"),
    ],
)
def test_an_error_about_a_person_says_no_more_than_that(name: str, given: list[Any], said: str) -> None:
    request = Request({name: given, "limit": ["7"]})
    assert People(False).error(request, said) == f"a value of {name} is refused"
    assert People(True).error(request, said) == said
    for other in ("limit: '7' is not a date", f"pipes/seen.sql:3: there is no column {name}"):
        assert People(False).error(request, other) == other


def test_words_for_people_are_known_in_one_and_in_many() -> None:
    theirs = "users shoppers userid userIds uid account_id member_id viewer viewers session_id emails"
    assert [name for name in theirs.split() if not names_a_person(name)] == []
    assert not any(map(names_a_person, ["item_id", "category", "limit", "words", "uses", "address", "paid"]))


def test_markdown_shows_what_strangers_typed_as_they_typed_it(shop: Service, sides: Sides) -> None:
    both = sides("many", many=("'-', event_type", "'+', event_type"))
    evil = "tea` | @all <b>\x1b[31m\n# head"
    pairs = asked(shop, both, Request({"item_id": ["tea", evil]}))
    text = markdown(compared(both, pairs))
    assert r"`item_id=tea item_id=tea' \| @all <b>�[31m�# head`" in text
    assert "\x1b" not in text


# Requests


def test_recorded_requests_are_the_newest_distinct_ones_with_how_often_they_were_asked(
    shop: Service, client: FlaskClient
) -> None:
    for path in ("item_id=tea&limit=3", "limit=3&item_id=tea", "item_id=mug", "limit=3&item_id=tea", "item_id=pot"):
        assert client.get(f"/pipes/also_bought?{path}").status_code == 200
    assert client.get("/pipes/also_bought").status_code == 400
    assert client.get("/pipes/trending").status_code == 200
    assert shop.request_log
    shop.request_log.flush()
    tea = Request({"item_id": ["tea"], "limit": ["3"]}, 3)
    found = recorded(shop.warehouse, "also_bought", 200)
    assert sorted(found, key=str) == sorted([tea, *(Request({"item_id": [one]}) for one in ("mug", "pot"))], key=str)
    assert len(recorded(shop.warehouse, "also_bought", 1)) == 1
    with pytest.raises(Unusable, match="no request to for_you is recorded"):
        recorded(shop.warehouse, "for_you", 200)


def test_a_file_of_requests_is_read_as_it_was_written(tmp_path: Path) -> None:
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
def test_a_line_that_is_no_request_is_named(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(Unusable, match=problem):
        read_requests(write(tmp_path / "r.ndjson", {"item_id": "tea"}, line), 200)
    with pytest.raises(Unusable, match="holds no request"):
        read_requests(write(tmp_path / "r.ndjson", ""), 200)
