"""The folder of pipes: a saved file is the next request's text, and a broken one takes nothing away."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.answers import answer, describer
from app.errors import NoSuchPipe, PipeBroken, WarehouseFault
from app.pipes.library import Described, Library
from app.settings import HOME
from app.warehouse import Warehouse
from tests.engines import Engine, drop

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
SAME = "{%- macro same(column, value) -%} {{ column }} = {{ value }} {%- endmacro -%}"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_seconds = count(1_000_000_000)

Save = Callable[[str, str], None]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """`save("pipes/a.sql", text)`, each time with a time of its own, since files may be saved within one tick."""
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
    """One for all tests of this module: they only ask it about texts."""
    shop = on.shop("library")
    yield shop.warehouse
    drop(shop)


@pytest.fixture
def library(warehouse: Warehouse, save: Save, tmp_path: Path) -> Library:
    return Library(tmp_path / "pipes", tmp_path / "macros", warehouse.tables, describer(warehouse))


def fault(library: Library, name: str) -> str:
    found = library.entry(name).fault
    assert found
    return f"{found.line}: {found}"


def test_a_pipe_knows_its_columns_tables_and_parameters(library: Library, save: Save) -> None:
    save("pipes/titles.sql", TITLES)
    pipe = library["titles"]
    assert library.names() == ["titles"]
    assert pipe.columns == [("item_id", "String"), ("title", "String")]
    assert pipe.tables == ["items"]
    assert [parameter.name for parameter in pipe.parameters] == ["limit", "brand", "words"]
    assert "brand = {brand:String}" in pipe.sql(["limit", "brand"])
    assert "brand" not in pipe.sql(["limit"])


def test_every_pipe_of_the_project_is_good(warehouse: Warehouse) -> None:
    library = Library(HOME / "pipes", HOME / "sql" / "macros", warehouse.tables, describer(warehouse))
    assert {name: library.entry(name).fault for name in library.names()} == dict.fromkeys(library.names())
    assert library.names()


def test_a_saved_file_is_the_next_requests_text(library: Library, save: Save) -> None:
    save("pipes/titles.sql", TITLES)
    old = library["titles"]
    assert library["titles"] is old
    save("pipes/titles.sql", TITLES.replace("title\n", "title, brand\n"))
    assert library["titles"].columns == [("item_id", "String"), ("title", "String"), ("brand", "String")]
    assert library["titles"].version != old.version


def test_a_broken_file_leaves_the_last_good_text(library: Library, save: Save) -> None:
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
    monkeypatch.setattr("app.pipes.library.RETRY_SECONDS", 0.0)  # it is read again with each request
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
    assert "its last good text answers" in first
    assert "there is no table itms" in second
    save("pipes/never.sql", TITLES.replace("from items", "from secrets"))
    assert library.entry("never").pipe is None
    assert "it does not answer" in caplog.messages[2]


def test_a_pipe_that_never_was_good_says_so_and_no_more(library: Library, save: Save) -> None:
    save("pipes/titles.sql", TITLES.replace("from items", "from secrets"))
    with pytest.raises(PipeBroken) as raised:
        library["titles"]
    assert raised.value.status == 503
    assert "secrets" not in str(raised.value)


def test_a_removed_file_is_no_pipe(library: Library, save: Save, tmp_path: Path) -> None:
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
def test_a_strange_name_is_no_pipe(library: Library, save: Save, name: str) -> None:
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


def test_a_broken_macro_leaves_the_last_good_text(library: Library, save: Save) -> None:
    save("pipes/titles.sql", TITLES)
    good = library["titles"]
    save("macros/m.sql", "{%- macro same(column, value) -%} {{ value|upper }} {%- endmacro -%}")
    assert library["titles"] is good
    assert "m.sql, line 1: a filter" in fault(library, "titles")
    assert "brand = {brand:String}" in library["titles"].sql(["limit", "brand", "words"])


def test_a_choice_of_parameters_that_load_did_not_try_is_checked_when_it_comes(library: Library, save: Save) -> None:
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
    "an unknown name": (TITLES.replace("{{ limit }}", "{{ limt }}"), "13: 'limt' is undefined"),
    "a function that reads files": (TITLES.replace("title\n", "file(title) as title\n"), "7: the function file"),
    "a column that is not there": (TITLES.replace("title\n", "titel\n"), "titel"),
    "a parameter that is never used": (TITLES.replace("limit {{ limit }}", "limit 10"), ":limit is declared and never"),
    "columns that come and go": (
        TITLES.replace("title\n", "title {% if brand %}, brand {% endif %}\n"),
        "with brand the",
    ),
    "a key that is no column": (
        "-- T.\n-- :a String  x\n-- @key a\nselect item_id from items where title in {{ a }} order by 1 limit 9",
        "@key a is not a column",
    ),
    "a fallback that is no pipe": (
        TITLES.replace("{% from", "-- @fallback nope\n{% from"),
        "@fallback nope is not a pipe",
    ),
    "a cache without a time": (TITLES.replace("{% from", "-- @cache soon\n{% from"), "6: @cache soon"),
    "a cache of something else": (TITLES.replace("{% from", "-- @cache 5s brand\n{% from"), "6: @cache … brand"),
    "an error in one case only": (TITLES.replace("title = {{ words }}", "titel = {{ words }}"), "titel"),
    "a read of a file in one case only": (
        TITLES.replace("title = {{ words }}", "title = file({{ words }})"),
        "the function file is not allowed",
    ),
    "a tower of ifs": (TITLES + "{% if brand %}" * 300 + "{% endif %}" * 300, "nested too deeply"),
    "nothing at all": ("", "1: the first line"),
}


@pytest.mark.parametrize(("text", "says"), BROKEN.values(), ids=BROKEN)
def test_a_fault_is_found_at_load(library: Library, save: Save, text: str, says: str) -> None:
    save("pipes/titles.sql", text)
    with pytest.raises(PipeBroken):
        library["titles"]
    assert says in fault(library, "titles")


def test_a_file_that_is_not_text_is_a_fault(library: Library, save: Save, tmp_path: Path) -> None:
    (tmp_path / "pipes" / "titles.sql").write_bytes(b"-- \xff\xfe")
    assert "not UTF-8" in fault(library, "titles")


def test_a_folder_in_place_of_a_file_is_a_fault(library: Library, tmp_path: Path) -> None:
    (tmp_path / "pipes" / "titles.sql").mkdir()
    assert fault(library, "titles")


def test_a_file_of_another_editor_is_read_as_it_is_meant(library: Library, tmp_path: Path) -> None:
    (tmp_path / "pipes" / "titles.sql").write_bytes(b"\xef\xbb\xbf" + TITLES.replace("\n", "\r\n").encode())
    assert library["titles"].header.sentence == "Titles, in their order."


def test_trouble_of_the_warehouse_is_not_remembered_as_a_fault(
    warehouse: Warehouse, save: Save, tmp_path: Path
) -> None:
    answers = [False]

    def tables() -> frozenset[str]:
        if not answers[0]:
            raise WarehouseFault("gone")
        return warehouse.tables()

    library = Library(tmp_path / "pipes", tmp_path / "macros", tables, describer(warehouse))
    save("pipes/titles.sql", TITLES)
    with pytest.raises(WarehouseFault):
        library["titles"]
    answers[0] = True
    assert library["titles"]


def test_the_old_text_serves_while_somebody_reads_the_new_one(warehouse: Warehouse, save: Save, tmp_path: Path) -> None:
    reading, go_on = threading.Event(), threading.Event()
    describe = describer(warehouse)

    def slowly(sql: str, parameters: Mapping[str, Any]) -> Described:
        if "brand, title" in sql:
            reading.set()
            go_on.wait(10)
        return describe(sql, parameters)

    library = Library(tmp_path / "pipes", tmp_path / "macros", warehouse.tables, slowly)
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


def test_a_fallback_answers_in_the_columns_of_the_pipe_that_was_asked(
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
    found = answer(library, warehouse, "never", {"item_id": ["a", "b"], "limit": ["3"]}, NOON)
    assert found.fallback == "always"
    assert found.data == [["a", "tea", None], ["b", "tea", None]]


def test_pipes_that_fall_back_on_each_other_come_to_an_end(warehouse: Warehouse, library: Library, save: Save) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        save(f"pipes/{name}.sql", f"-- None.\n-- @fallback {other}\nselect item_id from items order by 1 limit 1\n")
    assert answer(library, warehouse, "a", {}, NOON).data == []
