"""The folder of pipes: the next request uses a saved file, and a broken file keeps the last valid version."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from alsobought.errors import NoSuchPipe, PipeBroken, TooSlow, WarehouseFault
from alsobought.pipes.library import Library, Pipe
from alsobought.pipes.scopes import Schema
from alsobought.pipes.validation_cache import (
    MAX_BYTES,
    AnswerColumns,
    ValidationCache,
    ValidSql,
    cache_file,
    validation_cache_file,
)
from alsobought.serving.answers import answer, describer
from alsobought.storage.warehouse import Warehouse
from alsobought.web.openapi import describe_api
from tests.support.engines import Engine, drop
from tests.support.project import ROOT

TITLES = """
-- Titles, in their order.
--
-- :limit  UInt16 = 10 (1..100)  how many
-- :brand  String?               only of this brand
-- :words  String?               only with these words
{% from 'm.sql' import same %}
select item_id, title
from items
where 1 = 1
{% if brand %} and {{ same("brand", brand) }} {% endif %}
{% if words %} and title = {{ words }} {% endif %}
order by item_id
limit {{ limit }}
""".lstrip()
BUSY = """
-- Busy.
with a as (select user_id as buyer, sum(events) as events from user_items group by buyer
having events > 0),
b as (select buyer, events from a
limit 2 by events)
select buyer as user_id, events from b order by events, user_id limit 5
""".lstrip()
SAME = "{%- macro same(column, value) -%} {{ column }} = {{ value }} {%- endmacro -%}"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_seconds = count(1_000_000_000)

Save = Callable[[str, str], None]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """`save("pipes/a.sql", text)`, each time with a new mtime, since two saves may share a clock tick."""
    (tmp_path / "pipes").mkdir()
    (tmp_path / "macros").mkdir()

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.write_text(text)
        second = next(_seconds)
        os.utime(path, (second, second))

    write("macros/m.sql", SAME)
    return write


@pytest.fixture(scope="module")
def warehouse(on: Engine) -> Iterator[Warehouse]:
    """Shared by all tests of this module, which only describe texts."""
    shop = on.shop("library")
    yield shop.warehouse
    drop(shop)


@pytest.fixture
def library(warehouse: Warehouse, save: Save, tmp_path: Path) -> Library:
    return Library(tmp_path / "pipes", tmp_path / "macros", warehouse.schema, describer(warehouse))


def fault(library: Library, name: str) -> str:
    entry_fault = library.entry(name).fault
    assert entry_fault
    return f"{entry_fault.line}: {entry_fault}"


def test_a_pipe_knows_its_columns_tables_and_parameters(library: Library, save: Save) -> None:
    save("pipes/titles.sql", TITLES)
    pipe = library["titles"]
    assert library.names() == ["titles"]
    assert pipe.columns == [("item_id", "String"), ("title", "String")]
    assert pipe.tables == ["items"]
    assert [parameter.name for parameter in pipe.parameters] == ["limit", "brand", "words"]
    assert "brand = {brand:String}" in pipe.sql(["limit", "brand"])
    assert "brand" not in pipe.sql(["limit"])


def test_a_cache_that_events_of_an_unknown_type_would_invalidate_is_a_fault(
    warehouse: Warehouse, save: Save, tmp_path: Path
) -> None:
    types = ("view", "purchase")
    library = Library(tmp_path / "pipes", tmp_path / "macros", warehouse.schema, describer(warehouse), types)
    text = "-- T.\n-- :item_id String  x\n-- @cache 5s item_id {}\nselect title from items where item_id = {{{{ item_id }}}}"
    save("pipes/right.sql", text.format("purchase  two spaces begin a remark") + " order by 1 limit 9")
    save("pipes/wrong.sql", text.format("purchased") + " order by 1 limit 9")
    assert library["right"].header.cache_events == ("purchase",)
    assert fault(library, "wrong").startswith(
        "3: @cache … item_id purchased: no event has this type. There are view, purchase"
    )


def test_every_pipe_of_the_project_is_valid(warehouse: Warehouse) -> None:
    cache = ValidationCache(validation_cache_file(), lambda: warehouse.version)
    library = Library(ROOT / "pipes", ROOT / "sql" / "macros", warehouse.schema, describer(warehouse), cache=cache)
    findings = {name: (*library.entry(name).faults, *library.entry(name).warnings) for name in library.names()}
    assert findings == dict.fromkeys(library.names(), ())
    assert library.names()


def test_the_next_request_uses_a_saved_file(library: Library, save: Save) -> None:
    save("pipes/titles.sql", TITLES)
    old = library["titles"]
    assert library["titles"] is old
    save("pipes/titles.sql", TITLES.replace("title\n", "title, brand\n"))
    assert library["titles"].columns == [("item_id", "String"), ("title", "String"), ("brand", "String")]
    assert library["titles"].version != old.version


def test_a_broken_file_keeps_the_last_valid_version(library: Library, save: Save) -> None:
    save("pipes/titles.sql", TITLES)
    good = library["titles"]
    save("pipes/titles.sql", TITLES.replace("from items", "from itmes"))
    assert library["titles"] is good
    assert "there is no table itmes" in fault(library, "titles")
    save("pipes/titles.sql", TITLES + "-- better\n")
    assert library["titles"].version != good.version
    assert library.entry("titles").fault is None


def test_the_log_has_each_fault_of_a_file_once(
    library: Library, save: Save, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alsobought.pipes.library.RETRY_SECONDS", 0.0)  # it is read again with each request
    save("pipes/titles.sql", TITLES)
    assert library["titles"]
    assert caplog.messages == []
    for table in ("itmes", "itms"):
        save("pipes/titles.sql", TITLES.replace("from items", f"from {table}"))
        for _ in range(3):
            assert library["titles"]
    first, second = caplog.messages
    assert first.startswith("pipes/titles.sql:")
    assert "there is no table itmes" in first
    assert "the last valid text still answers" in first
    assert "there is no table itms" in second
    save("pipes/never.sql", TITLES.replace("from items", "from secrets"))
    assert library.entry("never").pipe is None
    assert "the pipe cannot answer" in caplog.messages[2]


def test_the_error_of_a_pipe_without_a_valid_version_has_no_details(library: Library, save: Save) -> None:
    save("pipes/titles.sql", TITLES.replace("from items", "from secrets"))
    with pytest.raises(PipeBroken) as raised:
        library["titles"]
    assert raised.value.status == 503
    assert "secrets" not in str(raised.value)


def test_a_removed_file_is_not_a_pipe(library: Library, save: Save, tmp_path: Path) -> None:
    save("pipes/titles.sql", TITLES)
    assert library["titles"]
    (tmp_path / "pipes" / "titles.sql").unlink()
    with pytest.raises(NoSuchPipe):
        library["titles"]
    assert library.names() == []


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a.b",
        "",
        ".",
        "..",
        "/etc/passwd",
        "a/b",
        "titles.sql",
        "titles\0",
        "*",
        "ti tles",
        "%2e%2e",
        "a" * 10_000,
    ],
)
def test_an_unusual_name_is_not_a_pipe(library: Library, save: Save, name: str) -> None:
    save("pipes/titles.sql", TITLES)
    save("x.sql", TITLES)
    with pytest.raises(NoSuchPipe, match="There are titles"):
        library[name]


def test_files_that_cannot_be_pipes_are_not_listed(library: Library, save: Save, tmp_path: Path) -> None:
    save("pipes/titles.sql", TITLES)
    save("pipes/titles copy.sql", TITLES)
    save("pipes/titles.sql~", TITLES)
    (tmp_path / "pipes" / ".#titles.sql").symlink_to("somebody@somewhere.1234")
    (tmp_path / "macros" / ".#m.sql").symlink_to("somebody@somewhere.1234")
    assert library.names() == ["titles"]
    assert library["titles"]


def test_a_saved_macro_changes_the_pipes_and_their_versions(library: Library, save: Save) -> None:
    save("pipes/titles.sql", TITLES)
    old = library["titles"]
    save("macros/m.sql", SAME.replace("=", "!="))
    assert "brand != {brand:String}" in library["titles"].sql(["limit", "brand"])
    assert library["titles"].version != old.version


def test_a_broken_macro_keeps_the_last_valid_version(library: Library, save: Save) -> None:
    save("pipes/titles.sql", TITLES)
    good = library["titles"]
    save("macros/m.sql", "{%- macro same(column, value) -%} {{ value|upper }} {%- endmacro -%}")
    assert library["titles"] is good
    assert "m.sql, line 1: a filter" in fault(library, "titles")
    assert "brand = {brand:String}" in library["titles"].sql(["limit", "brand", "words"])


def test_a_renamed_macro_is_noticed_and_a_dangling_link_keeps_the_last_valid_version(
    library: Library, save: Save, tmp_path: Path
) -> None:
    save("pipes/titles.sql", TITLES)
    good = library["titles"]
    (tmp_path / "macros" / "m.sql").rename(tmp_path / "macros" / "n.sql")
    assert "there is no macro file m.sql" in fault(library, "titles")
    (tmp_path / "macros" / "nowhere.sql").symlink_to(tmp_path / "nothing")
    assert library["titles"] is good
    (tmp_path / "macros" / "nowhere.sql").unlink()
    (tmp_path / "macros" / "n.sql").rename(tmp_path / "macros" / "m.sql")
    assert library.entry("titles").fault is None


@pytest.mark.parametrize("column", ["'x` String default now(), `y'", "round(1.5)", "'grün'", "`1st`"])
def test_the_columns_of_an_answer_have_plain_names(library: Library, save: Save, column: str) -> None:
    column = column.replace("`1st`", "1 as `1st`")
    save("pipes/odd.sql", f"-- Odd.\nselect {column}, item_id from items order by item_id limit 1\n")
    assert "a column is called" in fault(library, "odd")


def test_a_choice_of_parameters_that_load_did_not_validate_is_checked_on_request(library: Library, save: Save) -> None:
    save(
        "pipes/sneaky.sql",
        "-- Titles.\n-- :a String?  x\n-- :b String?  x\n-- :c String?  x\n"
        "select item_id {% if a and b and not c %} , file('/etc/passwd') {% endif %} from items\n"
        "where 1 = 1 {% if a %} and title = {{ a }} {% endif %} {% if b %} and title = {{ b }} {% endif %}\n"
        "{% if c %} and title = {{ c }} {% endif %} order by item_id limit 10\n",
    )
    pipe = library["sneaky"]
    for _ in range(2):
        with pytest.raises(Exception, match="the function file is not allowed"):
            pipe.sql(["a", "b"])
    assert pipe.sql(["a", "c"])


BROKEN = {
    "no header": ("select 1", "1: the first line"),
    "a bad header": (TITLES.replace("(1..100)", "(1..70000)"), "3: :limit: '70000' is not between"),
    "a bad template": (TITLES.replace("{{ limit }}", "{{ limit|upper }}"), "13: a filter"),
    "an unknown name": (TITLES.replace("{{ limit }}", "{{ limt }}"), "13: 'limt' is undefined. Did you mean limit?"),
    "a function that reads files": (TITLES.replace("title\n", "file(title) as title\n"), "7: the function file"),
    "a column that is not there": (
        TITLES.replace("title\n", "titel\n"),
        "7: there is no column titel. Did you mean title?",
    ),
    "a column that nothing is like": (
        TITLES.replace("title\n", "zzz\n"),
        "7: there is no column zzz. There are attributes",
    ),
    "a parameter without its braces": (
        TITLES.replace("1 = 1", "price > limit"),
        "9: there is no column limit. Write {{ limit }} for the parameter",
    ),
    "a column of a table that is not read": (
        TITLES.replace("title\n", "i.title\n"),
        "7: there is no column i.title. The tables here are called items",
    ),
    "a column neither grouped nor summed": (
        TITLES.replace("order by", "group by item_id order by"),
        "7: title is neither in GROUP BY nor inside an aggregate",
    ),
    "types that do not fit": (TITLES.replace("1 = 1", "title = 5"), "9: values of incompatible types"),
    "an operator of other types": (TITLES.replace("title\n", "title + 1 as n\n"), "7: + does not take an argument of"),
    "an attribute that is not there": (
        TITLES.replace("title\n", "dictGet('catalogue', 'titel', 1) as t\n"),
        "7: the dictionary has no attribute titel",
    ),
    "an alias over a column": (
        TITLES.replace("title\n", "lower(title) as title\n"),
        "7: the alias title hides a column of items, and WHERE",
    ),
    "a parameter that is never used": (
        TITLES.replace("limit {{ limit }}", "limit 10"),
        "3: :limit is declared and never",
    ),
    "columns that come and go": (
        TITLES.replace("title\n", "title {% if brand %}, brand {% endif %}\n"),
        "7: returns different columns if brand is given",
    ),
    "columns that come with variants": (
        TITLES.replace("title\n", "title {% if has_variants %}, brand {% endif %}\n"),
        "7: returns different columns in a catalogue with variants",
    ),
    "a key that is no column": (
        "-- T.\n-- :a String  x\n-- @key a\nselect item_id from items where title in {{ a }} order by 1 limit 9",
        "3: @key a is not a column",
    ),
    "a fallback that is no pipe": (
        TITLES.replace("{% from", "-- @fallback nope\n{% from"),
        "6: @fallback nope is not a pipe",
    ),
    "a cache without a time": (TITLES.replace("{% from", "-- @cache soon\n{% from"), "6: @cache soon"),
    "a cache of something else": (TITLES.replace("{% from", "-- @cache 5s brand\n{% from"), "6: @cache … brand"),
    "an error in one case only": (
        TITLES.replace("title = {{ words }}", "titel = {{ words }}"),
        "11: there is no column titel",
    ),
    "what only the engine cannot read, behind letters of two bytes": (
        TITLES.replace("1 = 1", f"title = '{'ü' * 30}' and title rlike 'a'"),
        "9: ClickHouse cannot parse the SQL here",
    ),
    "a control character": (TITLES.replace("item_id,", "item_id,\x02"), "7: '\\x02' is not allowed here"),
    "a read of a file in one case only": (
        TITLES.replace("title = {{ words }}", "title = file({{ words }})"),
        "11: the function file is not allowed",
    ),
    "a tower of ifs": (TITLES + "{% if brand %}" * 300 + "{% endif %}" * 300, "nested too deeply"),
    "nothing at all": ("", "1: the first line"),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_fault_is_found_at_load(library: Library, save: Save, text: str, expected: str) -> None:
    save("pipes/titles.sql", text)
    with pytest.raises(PipeBroken):
        library["titles"]
    assert expected in fault(library, "titles")


LINES = """
{%- macro tall(column) -%}
(
    {{ column }} = ''
    or {{ column }} = titel
)
{%- endmacro -%}
""".lstrip()


def test_the_line_of_a_fault_is_that_of_the_file(library: Library, save: Save) -> None:
    """Macros of several lines, omitted lines and comments do not move the lines below."""
    save("macros/tall.sql", LINES.replace("titel", "'a'"))
    text = TITLES.replace("{% from", "{% from 'tall.sql' import tall %}\n{% from").replace(
        "where 1 = 1", "{# a comment\n of two lines #}\nwhere {{ tall('title') }} and {{ tall('brand') }}"
    )
    above = text.replace("limit {{ limit }}", "{% if brand %}\n\n \n{% endif %}\nlimit {{ limit }} + prise")
    save("pipes/titles.sql", above)
    number = above.splitlines().index("limit {{ limit }} + prise") + 1
    assert fault(library, "titles") == f"{number}: there is no column prise. Did you mean price?"


def test_a_fault_in_a_macro_names_its_line_and_the_line_that_uses_it(library: Library, save: Save) -> None:
    save("macros/tall.sql", LINES)
    save(
        "pipes/titles.sql",
        TITLES.replace("'m.sql' import same", "'tall.sql' import tall").replace(
            '{{ same("brand", brand) }}', "{{ tall('brand') }} and title = {{ brand }}"
        ),
    )
    assert fault(library, "titles") == "10: tall.sql, line 4: there is no column titel. Did you mean title?"
    save("macros/tall.sql", LINES.replace("titel", "{{ nope }}"))
    assert fault(library, "titles").startswith("10: tall.sql, line 4: 'nope' is undefined")


def test_all_faults_of_a_text_are_reported_and_logged(
    library: Library, save: Save, caplog: pytest.LogCaptureFixture
) -> None:
    text = TITLES.replace("item_id, title", "itm_id, titel").replace("title = {{ words }}", "nope = {{ words }}")
    save("pipes/titles.sql", text.replace("by item_id", "by title"))
    entry = library.entry("titles")
    assert [(fault.line, fault.message) for fault in entry.faults] == [(12, "the last ORDER BY does not break ties")]
    save("pipes/titles.sql", text)
    faults = [(fault.line, fault.message) for fault in library.entry("titles").faults]
    assert faults == [
        (7, "there is no column itm_id"),
        (7, "there is no column titel"),
        (11, "there is no column nope"),
    ]
    locations = [message.partition(" ")[0] for message in caplog.messages if message.startswith("pipes/")]
    assert locations == [f"pipes/titles.sql:{line}:" for line in (12, 7, 7, 11)]


def test_a_pipe_with_a_warning_serves(library: Library, save: Save) -> None:
    save("pipes/busy.sql", BUSY)
    entry = library.entry("busy")
    assert entry.faults == ()
    assert [(warning.line, warning.message.partition(" ")[0]) for warning in entry.warnings] == [
        (2, "the"),
        (5, "LIMIT"),
    ]
    assert all(warning.hint for warning in entry.warnings)
    assert library["busy"].columns


def test_a_draft_is_checked_and_not_saved(library: Library, save: Save) -> None:
    save("pipes/titles.sql", TITLES)
    served = library["titles"]
    better = library.draft("titles", TITLES.replace("title\n", "title, brand\n").replace("\n", "\r\n"))
    assert better.pipe
    assert better.pipe.columns[2] == ("brand", "String")
    broken = library.draft("titles", TITLES.replace("title\n", "titel\n"))
    assert broken.pipe is None
    assert [str(fault) for fault in broken.faults] == ["there is no column titel. Did you mean title?"]
    assert library["titles"] is served
    assert library.draft("new_one", TITLES.replace("{% from", "-- @fallback new_one\n{% from")).pipe
    assert library.names() == ["titles"]


@pytest.mark.parametrize("name", ["", "../x", "a b", "1a", "a.sql", "a" * 300 + "-"])
def test_a_draft_needs_a_name(library: Library, save: Save, name: str) -> None:
    assert "not a valid pipe name" in str(library.draft(name, TITLES).fault)


@pytest.mark.parametrize(
    "text", ["", "\0", "\ud800", "-- \udfff\nselect 1", "x" * 10_000_000, "\x02(\x03" * 9, "-- a" * 40_000]
)
def test_an_unusual_draft_is_rejected_quickly(library: Library, save: Save, text: str) -> None:
    started = time.perf_counter()
    entry = library.draft("a", text)
    assert (entry.pipe, bool(entry.fault)) == (None, True)
    assert len(str(entry.fault)) < 300
    assert time.perf_counter() - started < 3


def test_a_large_file_is_rejected_without_reading_all_of_it(library: Library, save: Save, tmp_path: Path) -> None:
    for path in ("pipes/large.sql", "macros/large.sql"):
        with (tmp_path / path).open("wb") as file:
            file.truncate(50_000_000_000)  # a hole: nothing could hold it
    assert "large.sql has more than 800,000 bytes" in fault(library, "large")
    save("pipes/titles.sql", TITLES.replace("select", "{% from 'large.sql' import x %}\nselect", 1))
    assert "large.sql has more than 800,000 bytes" in fault(library, "titles")


def test_a_file_that_is_not_text_is_a_fault(library: Library, save: Save, tmp_path: Path) -> None:
    (tmp_path / "pipes" / "titles.sql").write_bytes(b"-- \xff\xfe")
    assert "not UTF-8" in fault(library, "titles")


def test_a_folder_in_place_of_a_file_is_a_fault(library: Library, tmp_path: Path) -> None:
    (tmp_path / "pipes" / "titles.sql").mkdir()
    assert fault(library, "titles")


def test_a_byte_order_mark_and_windows_line_endings_are_accepted(library: Library, tmp_path: Path) -> None:
    (tmp_path / "pipes" / "titles.sql").write_bytes(b"\xef\xbb\xbf" + TITLES.replace("\n", "\r\n").encode())
    assert library["titles"].header.sentence == "Titles, in their order."


def test_an_error_of_the_warehouse_is_not_a_fault_of_the_pipe(warehouse: Warehouse, save: Save, tmp_path: Path) -> None:
    answers = [False]

    def schema() -> Schema:
        if not answers[0]:
            raise WarehouseFault("gone")
        return warehouse.schema()

    library = Library(tmp_path / "pipes", tmp_path / "macros", schema, describer(warehouse))
    save("pipes/titles.sql", TITLES)
    with pytest.raises(WarehouseFault):
        library["titles"]
    answers[0] = True
    assert library["titles"]


def test_a_time_limit_during_validation_is_retried_and_then_reported(
    warehouse: Warehouse, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeouts = [1]

    def overloaded(sql: str, parameters: Mapping[str, Any]) -> AnswerColumns:
        if timeouts[0]:
            timeouts[0] -= 1
            raise TooSlow("stopped by a limit: Timeout exceeded: elapsed 5 s. (TIMEOUT_EXCEEDED)")
        return describer(warehouse)(sql, parameters)

    monkeypatch.setattr("alsobought.pipes.library.RETRY_SECONDS", 0.0)
    library = Library(tmp_path / "pipes", tmp_path / "macros", warehouse.schema, overloaded)
    save("pipes/titles.sql", TITLES)
    good = library["titles"]
    assert library.entry("titles").fault is None
    timeouts[0] = 2
    save("pipes/titles.sql", TITLES + "-- the same\n")
    assert "ClickHouse reached a limit of time during validation" in fault(library, "titles")
    assert timeouts == [0], "the other combinations of parameters are not described"
    assert library["titles"].version != good.version
    assert library.entry("titles").fault is None


def held_library(warehouse: Warehouse, folder: Path) -> tuple[Library, threading.Event, threading.Event]:
    """A library that stops at a text with `brand, title`: it sets the first event, and goes on after the second."""
    reading, go_on = threading.Event(), threading.Event()
    describe = describer(warehouse)

    def slowly(sql: str, parameters: Mapping[str, Any]) -> AnswerColumns:
        if "brand, title" in sql:
            reading.set()
            go_on.wait(10)
        return describe(sql, parameters)

    return Library(folder / "pipes", folder / "macros", warehouse.schema, slowly), reading, go_on


def test_the_old_version_serves_while_another_thread_validates_the_new_one(
    warehouse: Warehouse, save: Save, tmp_path: Path
) -> None:
    library, reading, go_on = held_library(warehouse, tmp_path)
    save("pipes/titles.sql", TITLES)
    old = library["titles"]
    save("pipes/titles.sql", TITLES.replace("title\n", "brand, title\n"))
    first = threading.Thread(target=lambda: library["titles"])
    first.start()
    assert reading.wait(10)
    assert library["titles"] is old
    go_on.set()
    first.join()
    assert library["titles"].version != old.version


def test_a_saved_pipe_waits_for_the_validation_of_another_and_then_serves_its_new_text(
    warehouse: Warehouse, save: Save, tmp_path: Path
) -> None:
    library, reading, go_on = held_library(warehouse, tmp_path)
    save("pipes/titles.sql", TITLES)
    old = library["titles"]
    save("pipes/other.sql", TITLES.replace("title\n", "brand, title\n"))
    first = threading.Thread(target=lambda: library["other"])
    first.start()
    assert reading.wait(10)
    assert library["titles"] is old, "its file is the same"
    save("pipes/titles.sql", TITLES.replace("in their order", "in order"))
    threading.Timer(0.1, go_on.set).start()
    assert library["titles"].version != old.version
    first.join()


def test_valid_sql_is_described_once_for_a_schema(warehouse: Warehouse, save: Save, tmp_path: Path) -> None:
    described: list[str] = []
    more: dict[str, dict[str, str]] = {}
    file = tmp_path / "cache" / "validated.ndjson"

    def describe(sql: str, parameters: Mapping[str, Any]) -> AnswerColumns:
        described.append(sql)
        return describer(warehouse)(sql, parameters)

    def read(engine: str = "26.9") -> tuple[Pipe, bool]:
        """The pipe in a new process, and True if that process asked the engine."""
        described.clear()
        cache_file.cache_clear()
        cache = ValidationCache(file, lambda: engine)
        folders = tmp_path / "pipes", tmp_path / "macros"
        return Library(*folders, lambda: warehouse.schema() | more, describe, cache=cache)["titles"], bool(described)

    save("pipes/titles.sql", TITLES)
    first, asks = read()
    assert asks
    save("macros/m.sql", SAME + "{# the same #}")
    second, asks = read()
    assert not asks
    assert second.version != first.version
    assert (second.columns, second.tables) == (first.columns, first.tables)
    file.write_bytes(file.read_bytes()[:-20])
    assert read()[1], "a truncated entry is validated again"
    assert not read()[1]
    assert read("26.10")[1]
    more["other"] = {"x": "String"}
    assert not read()[1], "it does not read that table"
    more["items"] = {**warehouse.schema()["items"], "x": "String"}
    assert read()[1]
    file.write_bytes(b"\n" * (MAX_BYTES + 1))
    assert read()[1]
    assert file.stat().st_size < 10_000


def test_what_another_process_validates_is_not_validated_again(tmp_path: Path) -> None:
    file = tmp_path / "validated.ndjson"
    ours = ValidationCache(file)
    assert ours.get("one") is None
    cache_file.cache_clear()
    for key in ("one", "two"):
        ValidationCache(file).add(ValidSql(key, [("item_id", "String")], ["items"]))
        assert ours.get(key) == ValidSql(key, [("item_id", "String")], ["items"])


def test_other_values_of_a_csv_file_are_not_validated_again(warehouse: Warehouse, save: Save, tmp_path: Path) -> None:
    described: list[str] = []

    def describe(sql: str, parameters: Mapping[str, Any]) -> AnswerColumns:
        described.append(sql)
        return describer(warehouse)(sql, parameters)

    cache = ValidationCache()
    pipes = Library(tmp_path / "pipes", tmp_path / "macros", warehouse.schema, describe, cache=cache)

    def rendered(rows: str) -> str:
        described.clear()
        save("words.csv", f"word String,times Float64?\n{rows}")
        (sql,) = {*pipes["said"]._rendered.values()}
        return sql

    save(
        "pipes/said.sql",
        "-- Words.\n{% from 'words.csv' import words %}"
        "select arrayJoin({{ words() }}) as said order by said {% if words(times=true) %} desc {% endif %} limit 3\n",
    )
    assert "('tea', 2.0)" in rendered("tea,2\n")
    assert described
    assert "('it\\'s', 3.0), ('pen', NULL)" in rendered("it's,3\npen,\n")
    assert not described
    assert "desc" not in rendered("tea,\n"), "another text"
    assert described


def test_a_cache_file_that_cannot_be_written_is_ignored(warehouse: Warehouse, save: Save, tmp_path: Path) -> None:
    save("pipes/titles.sql", TITLES)
    (tmp_path / "cache").write_text("no folder")
    cache = ValidationCache(tmp_path / "cache" / "validated.ndjson")
    library = Library(tmp_path / "pipes", tmp_path / "macros", warehouse.schema, describer(warehouse), cache=cache)
    assert library["titles"]


def test_findings_are_not_cached(warehouse: Warehouse, save: Save, tmp_path: Path) -> None:
    save("pipes/busy.sql", BUSY)
    save("pipes/broken.sql", BUSY.replace("user_items", "nowhere"))
    cache = ValidationCache()
    for _ in range(2):
        library = Library(tmp_path / "pipes", tmp_path / "macros", warehouse.schema, describer(warehouse), cache=cache)
        assert [warning.line for warning in library.entry("busy").warnings] == [2, 5]
        assert [fault.line for fault in library.entry("broken").faults] == [2]


def test_a_fallback_answers_in_the_columns_of_the_requested_pipe(
    warehouse: Warehouse, library: Library, save: Save
) -> None:
    save(
        "pipes/always.sql",
        "-- One.\n-- :limit UInt8 = 5  x\nselect 'tea' as found, {{ limit }} as n order by n limit 1\n",
    )
    save(
        "pipes/never.sql",
        "-- None.\n-- :item_id String  x\n-- :limit UInt8 = 5  x\n-- @key item_id\n-- @fallback always  found as other\n"
        "select item_id, 'x' as other, 1.5 as score from items where item_id in {{ item_id }} order by 1 limit {{ limit }}\n",
    )
    result = answer(library, warehouse, "never", {"item_id": ["a", "b"], "limit": ["3"]}, NOON)
    assert result.fallback == "always"
    assert result.data == [["a", "tea", None, "always"], ["b", "tea", None, "always"]]


NUMBERS = "select toString(arrayJoin(range({first}, {last}))) as {name}, 'x' as reason order by {name} limit {{{{ limit }}}}\n"


def _numbers(first: int, last: int, name: str = "item_id", header: str = "") -> str:
    """A pipe that returns the items of these numbers."""
    return f"-- Some.\n-- :limit UInt8 = 5 (1..6)  x\n{header}" + NUMBERS.format(first=first, last=last, name=name)


def test_a_list_is_filled_along_the_chain_of_fallbacks(warehouse: Warehouse, library: Library, save: Save) -> None:
    """Columns are renamed at each step, and no item is repeated or recommended for itself."""
    about = "-- :item_id String  x\n-- :exclude Array(String)?  x\n"
    text = "{% if exclude %} having not has({{ exclude }}, other_item_id) {% endif %}"
    save(
        "pipes/own.sql",
        f"-- Own.\n{about}-- :limit UInt8 = 5 (1..9)  x\n-- @fallback second  item_id as other_item_id\n"
        "select toString(arrayJoin([1, 2])) as other_item_id, {{ item_id }} as reason group by 1 "
        + text
        + " order by 1 limit {{ limit }}\n",
    )
    save("pipes/second.sql", _numbers(2, 4, header="-- @fallback third  found_id as item_id\n"))
    save("pipes/third.sql", _numbers(1, 9, "found_id", "-- @fallback own\n"))

    def ask(**parameters: str) -> tuple[list[tuple[str, str]], str | None]:
        result = answer(library, warehouse, "own", {name: [value] for name, value in parameters.items()}, NOON)
        return [(row[0], row[2]) for row in result.data], result.fallback

    own, second, third = (
        [("1", "own"), ("2", "own")],
        [("3", "second")],
        [(number, "third") for number in "45678"],
    )
    assert ask(item_id="x", limit="2") == (own, None)
    assert ask(item_id="x", limit="3") == (own + second, None)
    assert ask(item_id="x", limit="9") == (own + second + third, None), "more than a caller of the third may ask for"
    assert ask(item_id="3", limit="4") == (own + third[:2], None)
    assert ask(item_id="x", limit="2", exclude="1,2") == ([*second, third[0]], "second")


def test_a_fallback_that_lacks_a_filter_is_skipped(warehouse: Warehouse, library: Library, save: Save) -> None:
    filters = "-- :brand String?  x\n"
    where = "{% if brand %} having {{ brand }} != '' {% endif %}"
    mine = "-- Own.\n-- :limit UInt8 = 5 (1..9)  x\n{}-- @fallback {}\nselect toString(arrayJoin([{}])) as item_id"
    save("pipes/own.sql", mine.format(filters, "plain", 1) + f" group by 1 {where} order by 1 limit {{{{ limit }}}}\n")
    save("pipes/plain.sql", mine.format("", "wise", 2) + " order by 1 limit {{ limit }}\n")
    save("pipes/wise.sql", mine.format(filters, "plain", 3) + f" group by 1 {where} order by 1 limit {{{{ limit }}}}\n")
    assert answer(library, warehouse, "own", {}, NOON).data == [["1", "own"], ["2", "plain"], ["3", "wise"]]
    assert answer(library, warehouse, "own", {"brand": ["b"]}, NOON).data == [["1", "own"], ["3", "wise"]]


def test_a_cycle_of_fallbacks_ends(warehouse: Warehouse, library: Library, save: Save) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        save(f"pipes/{name}.sql", f"-- None.\n-- @fallback {other}\nselect item_id from items order by 1 limit 1\n")
    assert answer(library, warehouse, "a", {}, NOON).data == []


def test_requests_succeed_while_a_file_is_broken_and_repaired(
    warehouse: Warehouse, library: Library, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alsobought.pipes.library.RETRY_SECONDS", 0.0)
    texts = [
        TITLES,
        TITLES.replace("title\n", "title, brand\n"),
        TITLES.replace("from items", "from itmes"),
        "",
        TITLES.replace("title\n", "titel\n"),
        TITLES[: len(TITLES) // 2],  # half of it is written
    ]
    wide = {2: ["item_id", "title"], 3: ["item_id", "title", "brand"]}
    save("pipes/titles.sql", TITLES)
    library["titles"]
    wrong: list[object] = []
    requests, stop = count(), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                result = answer(library, warehouse, "titles", {"limit": ["3"]}, NOON)
                names = [column.name for column in result.meta]
                if names != wide.get(len(names)):
                    wrong.append(names)
            except Exception as error:
                wrong.append(error)
            next(requests)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(30):
        save("pipes/titles.sql", texts[number % len(texts)])
        time.sleep(0.03)
    save("pipes/titles.sql", texts[1])
    deadline = time.monotonic() + 20
    while len(library["titles"].columns) != 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert next(requests) > 50
    assert library.entry("titles").fault is None
    assert len(library["titles"].columns) == 3


PAGE = (ROOT / "docs" / "reference" / "pipes.md").read_text()
EXAMPLES = re.findall(r"((?:<!-- [^\n]* -->\n)*)```sql\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize(("comments", "text"), EXAMPLES)
def test_the_examples_of_the_reference_have_the_documented_faults(
    warehouse: Warehouse, comments: str, text: str
) -> None:
    library = Library(ROOT / "pipes", ROOT / "sql" / "macros", warehouse.schema, describer(warehouse))
    entry = library.draft("example", text)
    assert len(EXAMPLES) == PAGE.count("```sql")
    expected = re.findall(r"<!-- (.*) -->", comments)
    findings = [f"{finding.line}: {finding}" for finding in (*entry.faults, *entry.warnings)]
    assert len(findings) == len(expected)
    assert [finding[: len(start)] for finding, start in zip(findings, expected, strict=True)] == expected
    assert bool(entry.pipe) == (not expected)


def test_the_constraints_of_a_header_are_in_the_openapi_description(library: Library, save: Save) -> None:
    save(
        "pipes/facts.sql",
        "-- Facts.\n-- :code String = abc (3..12, /[a-z]+/)  x\n-- :name String = a (/(?i)a+/)  x\n"
        "-- :day Date = 2020-01-01 (2020-01-01..2030-12-31)  x\n-- :many Array(UInt8) = [1, 2] (1..5)  x\n"
        "select {{ code }} as a, {{ name }} as b, {{ day }} as c, {{ many }} as d order by a limit 1\n",
    )
    (path,) = [path for name, path in describe_api([library["facts"]])["paths"].items() if name == "/pipes/facts"]
    code, name, day, many, _fresh = [
        parameter["schema"] for parameter in path["get"]["parameters"] if parameter.get("in") == "query"
    ]
    assert code == {"type": "string", "minLength": 3, "maxLength": 12, "pattern": "^(?:[a-z]+)$", "default": "abc"}
    assert (name["description"], name["pattern"]) == ("Matches the RE2 pattern (?i)a+", r"^[^\u0000]*$")
    assert (day["format"], day["description"]) == ("date", "From 2020-01-01 to 2030-12-31.")
    assert "minimum" not in day
    assert many == {
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": 5},
        "maxItems": 1000,
        "default": [1, 2],
    }
