"""Parameter groups: `@use` brings their parameters into a header, a header may override them, and every mistake is reported."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import pytest

from alsobought.errors import PipeFault
from alsobought.pipes.header import read_header
from alsobought.pipes.library import Library
from alsobought.pipes.parameter_groups import Groups, group_files, read_group, read_groups
from alsobought.pipes.text_files import read_text
from tests.support.project import ROOT

FILTERS = """
-- Which items may appear.
--
-- :category   String?             only this category
-- :max_price  Float64? (0..1e12)  highest price; a description may go on
-- in the next line
""".lstrip()
PRICES = "-- Prices.\n--\n-- :max_price  Float64?  highest price\n"
_seconds = count(1_000_000_000)


@pytest.fixture
def groups() -> Groups:
    broken = PipeFault(":x has the type Sting", "There are String, …", 3)
    return {"filters": read_group("filters", FILTERS), "prices": read_group("prices", PRICES), "broken": broken}


def header(*lines: str) -> str:
    return "-- Best first.\n" + "\n".join(f"-- {line}" for line in lines) + "\nselect 1"


def test_a_group_is_inserted_at_its_use(groups: Groups) -> None:
    read = read_header(header(":limit  UInt16 = 10  rows", "@use filters", ":brand  String?  the brand"), groups)
    assert [parameter.name for parameter in read.parameters] == ["limit", "category", "max_price", "brand"]
    assert read.parameters[2].description == "highest price; a description may go on in the next line"
    assert read.parameters[2].maximum == 1e12
    assert read.groups == ("filters",)
    assert read.lines[":category"] == read.lines[":max_price"] == 3


def test_a_parameter_of_the_header_overrides_that_of_a_group(groups: Groups) -> None:
    for lines in (
        (":category  String = tea  the category", "@use filters"),
        ("@use filters", ":category  String = tea  x"),
    ):
        read = read_header(header(*lines), groups)
        assert {parameter.name: parameter.default for parameter in read.parameters} == {
            "category": "tea",
            "max_price": None,
        }


def test_two_groups_clash_unless_the_header_decides(groups: Groups) -> None:
    with pytest.raises(PipeFault, match=":max_price is in two groups, filters and prices") as raised:
        read_header(header("@use filters", "@use prices"), groups)
    assert raised.value.line == 3
    read = read_header(header("@use filters", "@use prices", ":max_price  UInt8?  pounds"), groups)
    assert [parameter.type for parameter in read.parameters if parameter.name == "max_price"] == ["UInt8"]


@pytest.mark.parametrize(
    ("lines", "line", "expected"),
    [
        (["@use filtres"], 2, "no such group of parameters. Did you mean filters\\? There are broken, filters, prices"),
        (["@use filters", "@use filters"], 3, "@use filters appears twice"),
        (["@use"], 2, "names one group"),
        (["@use filters, prices"], 2, "names one group"),
        (["@use broken"], 2, "parameters/broken.sql, line 3: :x has the type Sting"),
        (["@key max_price", "@use filters"], 2, "@key max_price is optional"),
    ],
)
def test_a_fault_has_its_line(groups: Groups, lines: list[str], line: int, expected: str) -> None:
    with pytest.raises(PipeFault, match=expected) as raised:
        read_header(header(*lines), groups)
    assert raised.value.line == line


def test_a_project_without_groups_gets_the_path_of_a_group() -> None:
    with pytest.raises(PipeFault, match=r"It would be sql/parameters/filters\.sql"):
        read_header(header("@use filters"))


def test_no_more_than_fifty_parameters_groups_included() -> None:
    text = "-- Many.\n" + "".join(f"-- :a{n}  String?  x\n" for n in range(30))
    other = text.replace(":a", ":b")
    both = {"a": read_group("a", text), "b": read_group("b", other)}
    assert len(read_header(header("@use a"), both).parameters) == 30
    with pytest.raises(PipeFault, match="more than 50 parameters") as raised:
        read_header(header("@use a", "@use b"), both)
    assert raised.value.line == 3


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("-- Filters.\n--\n-- :x  Sting  x\n", 3, "the type Sting"),
        ("-- Filters.\n-- :x  String?  x\n-- @cache 60s\n", 3, "@cache is not a directive here. There are @deprecated"),
        ("-- Filters.\n-- :x  String?  x\n-- @use y\n", 3, "@use is not a directive here"),
        ("-- Filters.\n-- :x  String?  x\nselect 1\n", 3, "a parameter group must not contain SQL"),
        ("-- Filters.\n", 1, "needs a parameter"),
        ("-- F.\n-- :x  String?  x\n-- :x  String?  x\n", 3, ":x appears twice"),
    ],
)
def test_a_fault_in_a_group_has_its_line(text: str, line: int, expected: str) -> None:
    with pytest.raises(PipeFault, match=expected) as raised:
        read_group("filters", text)
    assert raised.value.line == line


def test_a_group_that_is_not_text_is_reported(tmp_path: Path) -> None:
    (tmp_path / "parameters").mkdir()
    (tmp_path / "parameters" / "filters.sql").write_bytes(b"-- \xff\xfe")
    with pytest.raises(PipeFault, match=r"parameters/filters\.sql: not UTF-8 text"):
        read_header(header("@use filters"), read_groups(group_files(tmp_path / "macros")))


# In a folder of pipes

PIPE = """
-- Titles.
--
-- @use filters
select item_id
from items
where 1 = 1
{% if category %} and category = {{ category }} {% endif %}
{% if max_price %} and price <= {{ max_price }} {% endif %}
order by item_id
limit 10
""".lstrip()


@pytest.fixture
def library(tmp_path: Path) -> Library:
    columns = {"item_id": "String", "category": "String", "price": "Float64"}
    save(tmp_path / "pipes" / "titles.sql", PIPE)
    save(tmp_path / "sql" / "parameters" / "filters.sql", FILTERS)
    return Library(
        tmp_path / "pipes", tmp_path / "sql" / "macros", lambda: {"items": columns}, lambda *_: [("item_id", "String")]
    )


def save(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    second = next(_seconds)
    os.utime(path, (second, second))


def test_the_next_request_uses_a_changed_group_in_a_new_version(library: Library, tmp_path: Path) -> None:
    before = library["titles"]
    assert [parameter.name for parameter in before.parameters] == ["category", "max_price"]
    save(tmp_path / "sql" / "parameters" / "filters.sql", FILTERS.replace("(0..1e12)", "(0..9)"))
    after = library["titles"]
    assert [parameter.maximum for parameter in after.parameters] == [None, 9]
    assert after.version != before.version
    save(tmp_path / "sql" / "parameters" / "other.sql", PRICES)
    assert library["titles"].version == after.version, "a group that it does not use"


def test_a_broken_group_keeps_the_last_valid_version(library: Library, tmp_path: Path) -> None:
    good = library["titles"]
    assert library.group_faults() == {"parameters/filters.sql": ()}
    save(tmp_path / "sql" / "parameters" / "filters.sql", FILTERS.replace("Float64?", "Float46?"))
    entry = library.entry("titles")
    assert entry.pipe is good
    assert entry.fault
    assert (
        entry.fault.line,
        "parameters/filters.sql, line 4: :max_price has the type Float46" in str(entry.fault),
    ) == (
        3,
        True,
    )
    assert [fault.line for fault in library.group_faults()["parameters/filters.sql"]] == [4]


def test_an_unused_parameter_of_a_group_is_reported_at_the_use(library: Library, tmp_path: Path) -> None:
    save(tmp_path / "sql" / "parameters" / "filters.sql", FILTERS + "-- :brand  String?  the brand\n")
    fault = library.entry("titles").fault
    assert fault
    assert (fault.line, fault.message) == (3, ":brand is declared and never used")


def test_the_groups_of_the_project_are_valid_and_used() -> None:
    groups = read_groups(group_files(ROOT / "sql" / "macros"))
    assert {name: isinstance(group, PipeFault) for name, group in groups.items()} == {
        "filters": False,
        "language": False,
        "reranking": False,
        "segment": False,
        "user": False,
    }
    used = {name for path in (ROOT / "pipes").glob("*.sql") for name in read_header(read_text(path), groups).groups}
    assert used == set(groups)
