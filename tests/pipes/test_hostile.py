"""Hostile and benign texts: forbidden names in all positions and spellings.

The texts are data, in tests/pipes/hostile/. The check rejects them without an engine.
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

FOLDER = Path(__file__).parent / "hostile"
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
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def hostile() -> Iterator[tuple[str, str]]:
    """Kind and text."""
    names = read("names")
    for kind, templates in names["places"].items():
        for template in templates:
            for name in names["names"]:
                text = template.replace("NAME", name)
                yield f"the name of a function as {kind}", text if " limit " in text else text + END
    calls = read("calls")
    for kind, texts in calls["calls"].items():
        yield from ((kind, f"select {text} as value from items{END}") for text in texts)
    yield from (("spellings", f"select {text}{END}") for text in calls["spellings"])
    for kind, texts in read("texts").items():
        yield from ((kind, text) for text in texts)


HOSTILE = list(dict.fromkeys(hostile()))
BENIGN = read("benign")["texts"]


def rejected(text: str, tables: Any = SCHEMA) -> bool:
    try:
        check(text, tables)
    except PipeFault as fault:
        assert fault.hint, text
        assert fault.line or "cannot be parsed" in fault.message, text
        return True
    return False


def test_the_suite_is_large() -> None:
    assert len(HOSTILE) >= 400
    assert len(set(BENIGN)) == len(BENIGN) >= 60


@pytest.mark.parametrize("kind", dict.fromkeys(kind for kind, _ in HOSTILE))
def test_a_hostile_text_is_rejected(kind: str) -> None:
    assert [text for hostile_kind, text in HOSTILE if hostile_kind == kind and not rejected(text)] == []


def test_a_benign_text_passes() -> None:
    for text in BENIGN:
        check(text, SCHEMA)


VALUES = {"a": "tea", "b": 1.5, "c": ["tea"], "d": 5, "e": "2026-01-01 00:00:00"}


def test_the_engine_accepts_every_benign_text(shop: Service) -> None:
    """Otherwise the list would prove nothing."""
    schema = shop.warehouse.schema()
    for table, columns in SCHEMA.items():
        assert set(columns) <= set(schema[table])
    for text in BENIGN:
        values = {name: value for name, value in VALUES.items() if f"{{{name}:" in text}
        shop.warehouse.describe(text if values else text + " -- {a:String}", values or {"a": ""})


def test_the_hostile_names_are_functions_of_the_engine(shop: Service) -> None:
    """A bare name can read a file, so no bare name may pass."""
    sql = "select name from system.functions where name in {names:Array(String)}"
    names = [name.strip('`"') for name in read("names")["names"] if name.islower() or name.isidentifier()]
    names_in_engine = {row[0] for row in shop.warehouse.rows(sql, {"names": names}).data}
    assert names_in_engine == {"file", "rand", "filesystemAvailable", "addressToLine"}


def test_listed_functions_are_pure(shop: Service) -> None:
    """According to the engine, which calls no function deterministic that reads a clock, a server or another table."""
    sql = "select name, alias_to, is_aggregate, ifNull(deterministic, 1), higher_order from system.functions"
    rows = shop.warehouse.rows(sql).data
    listed = [row for row in rows if is_allowed(row[0])]
    assert {name for name, _, _, deterministic, _ in listed if not deterministic} == {
        "arrayJoin",  # it multiplies rows and reads nothing else
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


def test_no_keyword_is_an_unlisted_function(shop: Service) -> None:
    functions = {row[0].lower() for row in shop.warehouse.rows("select name from system.functions").data}
    assert {word for word in KEYWORDS & functions if not is_allowed(word)} <= {
        "in",
        "ignore",
    }  # they cannot replace a lambda
    tables = {row[0].lower() for row in shop.warehouse.rows("select name from system.table_functions").data}
    assert {word for word in tables if is_allowed(word) or word in BEFORE_BRACKET | TYPES} == set()


def test_the_engine_has_all_combinators(shop: Service) -> None:
    names_in_engine = {
        row[0] for row in shop.warehouse.rows("select name from system.aggregate_function_combinators").data
    }
    assert set(COMBINATORS) <= names_in_engine


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
