"""The header of a pipe is parsed as documented, and its faults are reported with their lines."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from alsobought.errors import PipeFault
from alsobought.pipes.header import Fallback, Header, read_header
from alsobought.pipes.parameters import Parameter
from tests.support.project import ROOT


def header(*lines: str) -> Header:
    """A header of one sentence and these lines."""
    return read_header("-- Best first.\n" + "\n".join(f"-- {line}" for line in lines) + "\nselect 1")


def parameter(line: str) -> Parameter:
    return header(line).parameters[0]


def test_all_parts_of_a_header_are_read() -> None:
    read = read_header(
        "-- Products bought in the same basket\n"
        "-- as this one, best first.\n"
        "--\n"
        "-- :item_id   String                the product on the page;\n"
        "--                                  repeat it\n"
        "-- :limit     UInt16 = 10 (1..100)  how many\n"
        "--\n"
        "-- @key item_id            one answer for several\n"
        "-- @cache 60s item_id      until an event\n"
        "-- @fallback trending  item_id as other_item_id, title as name\n"
        "select 1\n"
    )
    assert read == Header(
        "Products bought in the same basket as this one, best first.",
        (
            Parameter("item_id", "String", "the product on the page; repeat it", repeated=True),
            Parameter("limit", "UInt16", "how many", default=10, minimum=1, maximum=100),
        ),
        key="item_id",
        cache_seconds=60.0,
        cache_until="item_id",
        fallback=Fallback("trending", {"item_id": "other_item_id", "title": "name"}),
    )


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (":a String  x", Parameter("a", "String", "x")),
        (":a  Int8  x  y", Parameter("a", "Int8", "x  y")),
        (":a String?  x", Parameter("a", "String", "x", optional=True)),
        (":a Array(UInt8)  x", Parameter("a", "UInt8", "x", repeated=True, separated=True)),
        (":a Array(String)?  x", Parameter("a", "String", "x", optional=True, repeated=True, separated=True)),
        (
            ":a Array(String) = [b, 'c, d']  x",
            Parameter("a", "String", "x", repeated=True, separated=True, default=("b", "c, d")),
        ),
        (":a Array(UInt8) = []  x", Parameter("a", "UInt8", "x", repeated=True, separated=True, default=())),
        (
            ":a Array(UInt8) = [1, 2] (1..5)  x",
            Parameter("a", "UInt8", "x", repeated=True, separated=True, default=(1, 2), minimum=1, maximum=5),
        ),
        (":a String (3..12)  x", Parameter("a", "String", "x", min_length=3, max_length=12)),
        (":a String = abc (3..3)  x", Parameter("a", "String", "x", default="abc", min_length=3, max_length=3)),
        (r":a String (/[A-Z]{2}\d+|\(\)/)  x", Parameter("a", "String", "x", pattern=r"[A-Z]{2}\d+|\(\)")),
        (
            ":a String (3..12, /a  b,c/)  x",
            Parameter("a", "String", "x", min_length=3, max_length=12, pattern="a  b,c"),
        ),
        (r":a String (/\w+\/\w+/)  x", Parameter("a", "String", "x", pattern=r"\w+/\w+")),
        (
            ":a String (Kitchen/Tea, 'a, b', '/c')  x",
            Parameter("a", "String", "x", choices=("Kitchen/Tea", "a, b", "/c")),
        ),
        (
            ":a Date (2020-01-01..2030-12-31)  x",
            Parameter("a", "Date", "x", minimum=date(2020, 1, 1), maximum=date(2030, 12, 31)),
        ),
        (
            ":a DateTime = 2021-01-01 (2020-01-01..2030-12-31T12:00)  x",
            Parameter(
                "a",
                "DateTime",
                "x",
                default=datetime(2021, 1, 1, tzinfo=UTC),
                minimum=datetime(2020, 1, 1, tzinfo=UTC),
                maximum=datetime(2030, 12, 31, 12, tzinfo=UTC),
            ),
        ),
        (":a String  (per cent) of x", Parameter("a", "String", "(per cent) of x")),
        (":a UInt8 = 5  x", Parameter("a", "UInt8", "x", default=5)),
        (":a Int8 = -5 (-7..7)  x", Parameter("a", "Int8", "x", default=-5, minimum=-7, maximum=7)),
        (":a Float64 = .5 (0..1e3)  x", Parameter("a", "Float64", "x", default=0.5, minimum=0, maximum=1000)),
        (":a UInt64 (0..18446744073709551615)  x", Parameter("a", "UInt64", "x", minimum=0, maximum=2**64 - 1)),
        (":a String = ''  x", Parameter("a", "String", "x", default="")),
        (":a String = 'a b'  x", Parameter("a", "String", "x", default="a b")),
        (":a String = a (a, b)  x", Parameter("a", "String", "x", default="a", choices=("a", "b"))),
        (":a UInt8 (1, 2)  x", Parameter("a", "UInt8", "x", choices=(1, 2))),
        (":a Bool = true  x", Parameter("a", "Bool", "x", default=True)),
        (":a Date = 2020-02-29  x", Parameter("a", "Date", "x", default=date(2020, 2, 29))),
        (
            ":a DateTime = 2020-01-01T12:00:00Z  x",
            Parameter("a", "DateTime", "x", default=datetime(2020, 1, 1, 12, tzinfo=UTC)),
        ),
    ],
)
def test_a_line_declares_a_parameter(line: str, read: Parameter) -> None:
    assert parameter(line) == read


@pytest.mark.parametrize(
    ("line", "required", "sql_type"),
    [
        (":a String  x", True, "String"),
        (":a String?  x", False, "String"),
        (":a String = b  x", False, "String"),
        (":a Array(UInt8)  x", True, "Array(UInt8)"),
        (":a DateTime  x", True, "DateTime64(3, 'UTC')"),
    ],
)
def test_a_parameter_has_a_sql_type_and_may_be_required(line: str, required: bool, sql_type: str) -> None:
    assert (parameter(line).required, parameter(line).sql_type) == (required, sql_type)


def test_events_of_some_types_may_invalidate_an_answer() -> None:
    read = header(":item_id String  x", "@cache 5s item_id purchase like  a remark")
    assert (read.cache_until, read.cache_events) == ("item_id", ("purchase", "like"))


@pytest.mark.parametrize(("line", "seconds"), [("@cache 2s", 2.0), ("@cache 500ms", 0.5), ("@cache 1.5s", 1.5)])
def test_a_cache_takes_seconds_and_milliseconds(line: str, seconds: float) -> None:
    assert header(line).cache_seconds == seconds


def test_text_after_the_parameters_is_not_part_of_the_sentence() -> None:
    assert header(":a String  x", "", "Notes for the next author.").sentence == "Best first."


def test_a_parameter_of_the_key_takes_several_values() -> None:
    assert header(":a String  x", "@key a").parameters[0].repeated


@pytest.mark.parametrize(
    ("lines", "line", "expected"),
    [
        ([":a String"], 2, "needs a description"),
        ([":a String x"], 2, "is not a parameter"),
        ([":A String  x"], 2, "is not a parameter"),
        ([":a.b String  x"], 2, "is not a parameter"),
        ([":a Array(Array(String))  x"], 2, "is not a parameter"),
        ([":a string  x"], 2, "has the type string.*There are String"),
        ([":a Decimal  x"], 2, "has the type Decimal"),
        ([":now DateTime  x"], 2, "is the clock"),
        ([":fresh Bool = false  x"], 2, "is a parameter of every pipe"),
        ([":cursor String?  x"], 2, "is a parameter of every pipe"),
        ([":a String  x", ":a UInt8  y"], 3, "appears twice"),
        (["", ":a UInt8 = 300  x"], 3, "'300' is not between 0 and 255"),
        ([":a UInt16 = 10 (1..70000)  x"], 2, "'70000' is not between 0 and 65535"),
        ([":a UInt8 = 9 (1..5)  x"], 2, "'9' is not between 1 and 5"),
        ([":a UInt8 (5..1)  x"], 2, "is an empty range"),
        ([":a UInt8 (1..)  x"], 2, "'' is not a whole number"),
        ([":a UInt8 (a..b)  x"], 2, "'a' is not a whole number"),
        ([":a Float64 (nan..1)  x"], 2, "'nan' is not a finite number"),
        ([":a Date (1..5)  x"], 2, "'1' is not a date like"),
        ([":a Date (2030-01-01..2020-01-01)  x"], 2, "is an empty range; the smaller value comes first"),
        ([":a DateTime (yesterday..2020-01-01)  x"], 2, "is not a time like"),
        ([":a Date = 2019-12-31 (2020-01-01..2030-12-31)  x"], 2, "is not between 2020-01-01 and 2030-12-31"),
        ([":a Bool (0..1)  x"], 2, "is a range, which needs a number or date; this is a Bool"),
        ([":a String (a..5)  x"], 2, "is not a length in characters, such as"),
        ([":a String (5..1)  x"], 2, "is an empty range; the smaller length"),
        ([":a String (1..1001)  x"], 2, "exceeds the maximum length of a String, 1,000 characters"),
        ([":a String (1..5, b)  x"], 2, "is more than a range and a pattern"),
        ([":a String (/a/, /b/)  x"], 2, "is more than a range and a pattern"),
        ([":a String = ab (3..5)  x"], 2, "'ab' has 2 characters; it takes between 3 and 5"),
        ([":a String = ab (/[0-9]+/)  x"], 2, "'ab' does not match /\\[0-9\\]\\+/"),
        ([":a UInt8 (/5/)  x"], 2, "is a pattern, which needs a String; this is a UInt8"),
        ([":a String (/[a/)  x"], 2, "is not a pattern: missing \\]"),
        ([":a String (/(?=a)/)  x"], 2, "is not a pattern: invalid perl operator"),
        ([r":a String (/(a)\1/)  x"], 2, "is not a pattern: invalid escape sequence"),
        ([":a String (//)  x"], 2, "is empty"),
        ([f":a String (/{'a' * 201}/)  x"], 2, "has 201 characters; at most 200"),
        ([":a String (/[a-z]+)  x"], 2, "is not a parameter. Put a pattern between two slashes"),
        ([":a Array(UInt8) = [1, 300]  x"], 2, "'300' is not between 0 and 255"),
        ([":a Array(UInt8) = [1, 2  x"], 2, "is not a parameter. Put the values of a default in one pair of brackets"),
        ([":a UInt8 = [1, 2]  x"], 2, "is a list, and UInt8 takes one value; declare Array.UInt8."),
        ([":a String = c (a, b)  x"], 2, "'c' is not one of a, b"),
        ([":a Int8 (1, 300)  x"], 2, "'300' is not between"),
        ([":a Date = 2020-13-01  x"], 2, "is not a date"),
        ([":a Bool = maybe  x"], 2, "is not true or false"),
        ([":a Float64 = nan  x"], 2, "is not a finite number"),
        (
            ["@nope x"],
            2,
            "@nope is not a directive here.*There are @key, @together, @cache, @fallback, @use, @deprecated, @private and @public",
        ),
        (["@cache 2s", "@cache 3s"], 3, "@cache appears twice"),
        ([":a String  x", "@key b"], 3, "@key b is not a parameter"),
        ([":a String?  x", "@key a"], 3, "@key a is optional"),
        (["@key"], 2, "is not a parameter"),
        ([":a Array(String)  x", "@together b"], 3, "@together b is not a parameter"),
        ([":a String  x", "@together a"], 3, "@together a is not a required list of texts"),
        ([":a Array(String)?  x", "@together a"], 3, "@together a is not a required list of texts"),
        ([":a Array(String)  x", ":b String  x", "@key b", "@together a"], 5, "@key and @together exclude each other"),
        (["@cache"], 2, "is not a duration"),
        (["@cache 5"], 2, "is not a duration.*500ms or 2s"),
        (["@cache 5m"], 2, "is not a duration"),
        (["@cache -1s"], 2, "is not a duration"),
        ([":a String  x", "@cache 5s a"], 3, "item_id or user_id"),
        (["@cache 5s item_id"], 2, "item_id or user_id"),
        (["@fallback"], 2, "names the pipe"),
        (["@fallback ../x"], 2, "names the pipe"),
        (["@fallback a b"], 2, "`column as column`"),
    ],
)
def test_a_fault_has_its_line(lines: list[str], line: int, expected: str) -> None:
    with pytest.raises(PipeFault, match=expected) as raised:
        header(*lines)
    assert raised.value.line == line


def test_all_faults_of_a_header_are_reported_at_once() -> None:
    with pytest.raises(PipeFault) as raised:
        header(":a string  x", ":b UInt8  x", ":c UInt8 (9..1)  x", "@nope")
    assert [fault.line for fault in raised.value.all] == [2, 4, 5]


def test_a_header_of_thousands_of_parameters_is_rejected_quickly() -> None:
    started = time.perf_counter()
    with pytest.raises(PipeFault, match="more than 50 parameters") as raised:
        header(*(f":p{number} UInt8  x" for number in range(10_000)))
    assert raised.value.line == 52
    assert time.perf_counter() - started < 1


def test_a_header_has_the_lines_of_its_tags() -> None:
    assert header(":a String  x", "   and more", "", "@key a").lines == {":a": 2, "@key": 5}


def test_ids_are_not_split_at_commas() -> None:
    read = header(":item_id Array(String)  x", ":k Array(String) = b  x", ":brand Array(String)  x", "@key k")
    assert [(p.repeated, p.separated) for p in read.parameters] == [(True, False), (True, False), (True, True)]
    assert read.parameters[1].default == ("b",)
    assert header(":a String = b  x", "@key a").parameters[0].default == ("b",)


RICH = """-- Best first.
--
-- :sku     String (3..12, /[A-Z]{2}\\d+|a  b/)            the product, as the shop
-- knows it
-- :brands  Array(String) = [acme, 'a, b'] (acme, 'a, b')  which
-- :since   Date = 2024-01-01 (2020-01-01..2030-12-31)     from when on
-- :limit   UInt16 = 10 (1..100)                           how many
--
-- @key sku
-- @cache 60s
"""


def test_the_formatter_leaves_the_header_alone(tmp_path: Path) -> None:
    """It removes indents and wraps lines above 110 characters; the parsed header stays equal."""
    long = RICH.replace(
        "as the shop\n-- knows", f"as the shop {'and all the world ' * 5}\n--                        knows"
    )
    for name, text in (("rich", RICH), ("long", long)):
        (tmp_path / f"{name}.sql").write_text(text + "select 1 as a order by a limit 1\n")
    config = str(ROOT / "pyproject.toml")
    subprocess.run([sys.executable, "-m", "sqlfmt", "--config", config, tmp_path], check=True, capture_output=True)
    assert (tmp_path / "rich.sql").read_text() == RICH + "select 1 as a order by a limit 1\n"
    formatted = (tmp_path / "long.sql").read_text()
    assert max(map(len, formatted.splitlines())) <= 110
    assert read_header(formatted) == read_header(long)


@pytest.mark.parametrize("text", ["", "select 1", "\n-- Best first.\nselect 1", "--\nselect 1", "-- :a String  x"])
def test_a_pipe_without_a_sentence_is_rejected(text: str) -> None:
    with pytest.raises(PipeFault, match="what the pipe answers") as raised:
        read_header(text)
    assert raised.value.line == 1


UNUSUAL = [
    *(":a" + " " * 50_000, ":a String" + " " * 50_000 + "(", ":a String = " + "'" * 50_000, "@key " * 10_000),
    *(":a String (" + "/a" * 50_000, ":a String (" + "a, " * 50_000 + "  x", ":a Array(UInt8) = [" + "1," * 50_000),
    *(":a String (" + "'a', " * 50_000, ":a String (/" + "\\\\" * 50_001 + "/)  x", ":a String (" + "(" * 50_000),
]


@pytest.mark.parametrize("line", UNUSUAL, ids=range(len(UNUSUAL)))
def test_an_unusual_line_is_read_quickly(line: str) -> None:
    started = time.perf_counter()
    with suppress(PipeFault):
        header(line)
    assert time.perf_counter() - started < 1


def sampled(line: str) -> Any:
    return parameter(line).sample()


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (":a String  x", ""),
        (":a UInt8  x", 0),
        (":a UInt8 (5..9)  x", 5),
        (":a String (b, c)  x", "b"),
        (":a UInt8 = 7  x", 7),
        (":a Array(UInt8)  x", [0]),
        (":a Array(UInt8) = 3  x", [3]),
        (":a Array(UInt8) = [3, 4]  x", [3, 4]),
        (":a String (2..5)  x", "xx"),
        (":a Date  x", date(2020, 1, 1)),
        (":a Date (2025-01-01..2026-01-01)  x", date(2025, 1, 1)),
    ],
)
def test_the_sample_of_a_parameter_is_a_valid_value(line: str, value: Any) -> None:
    assert sampled(line) == value


def test_the_sentence_of_a_header_is_the_first_of_its_prose() -> None:
    read = read_header("-- Best first. Then the rest,\n-- e.g. those.\nselect 1")
    assert (read.sentence, read.prose) == ("Best first.", "Best first. Then the rest, e.g. those.")
