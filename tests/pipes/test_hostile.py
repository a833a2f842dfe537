"""Texts that must not run and texts that must: all positions and spellings in which a pipe could name what it may not use.

The texts are data, in tests/pipes/hostile/. The check of the text alone refuses them: no engine is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from alsobought.errors import PipeFault
from alsobought.pipes.check import check, check_query
from alsobought.pipes.functions import COMBINATORS, DICTIONARIES, FUNCTIONS, TAKES_LAMBDA, is_aggregate, is_allowed
from alsobought.pipes.names import BEFORE_BRACKET, KEYWORDS, TYPES
from alsobought.pipes.source_map import SourceMap
from alsobought.service.service import Service

HERE = Path(__file__).parent / "hostile"
END = " order by 1 limit 10"
COLUMNS = {
    "items": "item_id title category brand price available image owner attributes version updated_at embedding",
    "events": "event_id event_type user_id session_id item_id category order_id order_size quantity price timestamp properties seq",
    "user_items": "user_id item_id event_type events first_seq last_seq first_time last_time",
    "item_hours": "hour event_type item_key category events",
    "catalogue": "item_key item_id title category brand price available image",
}
SCHEMA = {table: dict.fromkeys(columns.split(), "") for table, columns in COLUMNS.items()}


def read(name: str) -> Any:
    return yaml.safe_load((HERE / f"{name}.yaml").read_text())


def hostile() -> Iterator[tuple[str, str]]:
    """Kind and text."""
    names = read("names")
    for kind, places in names["places"].items():
        for place in places:
            for name in names["names"]:
                text = place.replace("NAME", name)
                yield f"the name of a function as {kind}", text if " limit " in text else text + END
    calls = read("calls")
    for kind, texts in calls["calls"].items():
        yield from ((kind, f"select {text} as value from items{END}") for text in texts)
    yield from (("spellings", f"select {text}{END}") for text in calls["spellings"])
    for kind, texts in read("texts").items():
        yield from ((kind, text) for text in texts)


HOSTILE = list(dict.fromkeys(hostile()))
BENIGN = read("benign")["texts"]


def refused(text: str, tables: Any = SCHEMA) -> bool:
    try:
        check(text, tables)
    except PipeFault as fault:
        assert fault.message
        return True
    return False


def test_the_suite_is_large() -> None:
    assert len(HOSTILE) >= 400
    assert len(set(BENIGN)) == len(BENIGN) >= 60


@pytest.mark.parametrize("kind", dict.fromkeys(kind for kind, _ in HOSTILE))
def test_a_hostile_text_is_refused(kind: str) -> None:
    assert [text for one, text in HOSTILE if one == kind and not refused(text)] == []


def test_a_benign_text_passes() -> None:
    for text in BENIGN:
        check(text, SCHEMA)


GIVEN = {"a": "tea", "b": 1.5, "c": ["tea"], "d": 5, "e": "2026-01-01 00:00:00"}


def test_the_engine_takes_every_benign_text(shop: Service) -> None:
    """Otherwise the list would prove nothing."""
    schema = shop.warehouse.schema()
    for table, columns in SCHEMA.items():
        assert set(columns) <= set(schema[table])
    for text in BENIGN:
        given = {name: value for name, value in GIVEN.items() if f"{{{name}:" in text}
        shop.warehouse.describe(text if given else text + " -- {a:String}", given or {"a": ""})


def test_the_names_that_would_be_functions_are_functions_of_the_engine(shop: Service) -> None:
    """The bare name of one does read a file, which is why no bare name may pass."""
    sql = "select name from system.functions where name in {names:Array(String)}"
    names = [name.strip('`"') for name in read("names")["names"] if name.islower() or name.isidentifier()]
    found = {row[0] for row in shop.warehouse.rows(sql, {"names": names}).data}
    assert found == {"file", "rand", "filesystemAvailable", "addressToLine"}


def test_listed_functions_are_pure(shop: Service) -> None:
    """By what the engine says of them: it calls nothing deterministic that reads a clock, a server or another table."""
    sql = "select name, alias_to, is_aggregate, ifNull(deterministic, 1), higher_order from system.functions"
    rows = shop.warehouse.rows(sql).data
    listed = [row for row in rows if is_allowed(row[0])]
    assert {name for name, _, _, deterministic, _ in listed if not deterministic} == {
        "arrayJoin",  # one row becomes several: nothing outside is read
        *(FUNCTIONS[name] for name in DICTIONARIES),
    }
    assert {alias for _, alias, _, _, _ in listed if alias and not is_allowed(alias)} == set()
    assert {name for name, _, _, _, takes in listed if bool(takes) != (name.lower() in TAKES_LAMBDA)} == set()
    assert {name for name, _, aggregates, _, _ in rows if not aggregates and is_aggregate(name)} == set()
    known = {row[0].lower() for row in rows} | {
        "dateadd",
        "date_add",
        "datesub",
        "date_sub",
    }  # these the parser rewrites
    assert set(FUNCTIONS) - known == set()


def test_no_keyword_is_a_function_that_is_not_listed(shop: Service) -> None:
    functions = {row[0].lower() for row in shop.warehouse.rows("select name from system.functions").data}
    assert {word for word in KEYWORDS & functions if not is_allowed(word)} <= {
        "in",
        "ignore",
    }  # they stand for no lambda
    tables = {row[0].lower() for row in shop.warehouse.rows("select name from system.table_functions").data}
    assert {word for word in tables if is_allowed(word) or word in BEFORE_BRACKET | TYPES} == set()


def test_combinators_are_those_of_the_engine(shop: Service) -> None:
    found = {row[0] for row in shop.warehouse.rows("select name from system.aggregate_function_combinators").data}
    assert set(COMBINATORS) <= found


@pytest.mark.parametrize(
    "text",
    [
        "select file('/etc/passwd')",
        "select arrayMap(file, ['/etc/passwd'])",
        "select item_id from other.items",
        "select dictGet('catalogue', 'title', 1)",  # of whichever database
        "select dictGet('other.catalogue', 'title', 1)",
        "insert into shop.items select 1",
    ],
)
def test_a_query_of_a_learner_passes_the_same_check(text: str) -> None:
    check_query(
        "select dictGet('shop.catalogue', 'title', 1) from shop.items union all select ''",
        SCHEMA,
        SourceMap(),
        {"shop"},
    )
    with pytest.raises(PipeFault):
        check_query(text, SCHEMA, SourceMap(), {"shop"})
