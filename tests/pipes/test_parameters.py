"""What a request may bind: the right values come through as they are, and every other one is refused with its name."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from alsobought.errors import BadParameters
from alsobought.pipes.declaration import parse_declaration
from alsobought.pipes.parameters import Listed, Parameter, values
from alsobought.service.service import Service


def one(kind: str, value: Any, **more: Any) -> Any:
    """What a parameter of this type makes of one value."""
    return values([Parameter("a", kind, "x", **more)], {"a": [value]})["a"]


def problems(parameters: list[Parameter], given: dict[str, list[Any]]) -> dict[str, str]:
    with pytest.raises(BadParameters) as raised:
        values(parameters, given)
    return {detail.param: detail.problem for detail in raised.value.details}


def problem(kind: str, value: Any, **more: Any) -> str:
    return problems([Parameter("a", kind, "x", **more)], {"a": [value]})["a"]


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        ("String", "", ""),
        ("String", "0", "0"),
        ("String", "'; drop table events --", "'; drop table events --"),
        ("UInt8", "255", 255),
        ("UInt8", "+5", 5),
        ("UInt8", 0, 0),
        ("Int8", "-128", -128),
        ("UInt16", "65535", 65535),
        ("Int32", -(2**31), -(2**31)),
        ("UInt64", "18446744073709551615", 2**64 - 1),
        ("Int64", "-9223372036854775808", -(2**63)),
        ("Float64", "1e308", 1e308),
        ("Float64", ".5", 0.5),
        ("Float64", "-5.", -5.0),
        ("Float64", 5, 5.0),
        ("Bool", "TRUE", True),
        ("Bool", "0", False),
        ("Bool", True, True),
        ("Date", "2026-02-28", date(2026, 2, 28)),
        ("DateTime", "2026-01-01T12:00:00Z", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("DateTime", "2026-01-01T12:00", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        (
            "DateTime",
            "2026-01-01T12:00:00+05:00",
            datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5))),
        ),
    ],
)
def test_a_good_value_comes_through(kind: str, given: Any, read: Any) -> None:
    assert one(kind, given) == read


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        ("UInt16", "70000", "'70000' is not between 0 and 65535"),
        ("UInt16", 70000, "70000 is not between 0 and 65535"),
        ("UInt8", "256", "between 0 and 255"),
        ("UInt8", "-1", "between 0 and 255"),
        ("Int8", "128", "between -128 and 127"),
        ("Int64", "9223372036854775808", "between -9223372036854775808 and 9223372036854775807"),
        ("UInt64", "18446744073709551616", "between 0 and 18446744073709551615"),
        ("UInt64", 10**30, "is not between"),
        ("UInt8", "1e2", "is not a whole number"),
        ("UInt8", "5.0", "is not a whole number"),
        ("UInt8", 5.0, "is not a whole number"),
        ("UInt8", True, "is not a whole number"),
        ("UInt8", "", "is not a whole number"),
        ("UInt8", " 5", "is not a whole number"),
        ("UInt8", "1_0", "is not a whole number"),
        ("UInt8", "٣", "is not a whole number"),
        ("UInt8", "5\n", "is not a whole number"),
        ("UInt8", [1], "is not a whole number"),
        ("UInt8", {}, "is not a whole number"),
        ("Float64", "nan", "is not a finite number"),
        ("Float64", "inf", "is not a finite number"),
        ("Float64", "1e400", "is not a finite number"),
        ("Float64", float("nan"), "is not a finite number"),
        ("Float64", "1_0", "is not a number"),
        ("Float64", " 5", "is not a number"),
        ("Float64", "٣", "is not a number"),
        ("Float64", "", "is not a number"),
        ("Float64", True, "is not a number"),
        ("Bool", "yes", "is not true or false"),
        ("Bool", 2, "is not true or false"),
        ("Date", "2026-02-30", "is not a date like"),
        ("Date", "1969-12-31", "between 1970 and 2100"),
        ("Date", 20260101, "is not a date like"),
        ("DateTime", "yesterday", "is not a time like"),
        ("DateTime", "9999-01-01", "between 1971 and 2100"),
        ("DateTime", "0001-01-01T00:00:00+14:00", "between 1971 and 2100"),
        ("DateTime", 5, "is not a time like"),
        ("String", "a\0b", "NUL"),
        ("String", "\ud800", "not valid Unicode"),
        ("String", 5, "is not a string"),
        ("String", None, "is not a string"),
        ("String", ["a"], "is not a string"),
    ],
)
def test_a_bad_value_is_refused_with_what_would_have_worked(kind: str, given: Any, says: str) -> None:
    said = problem(kind, given)
    assert says in said
    assert len(said) < 200


def test_enormous_values_are_refused_briefly() -> None:
    assert problem("String", "x" * 1_000_000) == "1,000,000 characters; at most 1,000"
    for kind in ("UInt64", "Float64", "Bool", "Date", "DateTime"):
        for value in ("9" * 1_000_000, 10**5000, -(10**5000)):
            assert len(problem(kind, value)) < 200


def test_a_text_may_be_a_thousand_characters_of_any_script() -> None:
    assert one("String", "x" * 1000) == "x" * 1000
    assert one("String", "🧉" * 1000) == "🧉" * 1000


def test_a_range_and_a_set_of_values_are_kept() -> None:
    assert problem("UInt8", "11", minimum=1, maximum=10) == "'11' is not between 1 and 10"
    assert problem("Float64", "-0.1", minimum=0.0, maximum=1.0) == "'-0.1' is not between 0 and 1"
    assert problem("String", "c", choices=("a", "b")) == "'c' is not one of a, b"
    assert one("UInt8", "10", minimum=1, maximum=10) == 10
    assert one("String", "b", choices=("a", "b")) == "b"


def test_what_is_left_out_is_its_default_or_not_bound() -> None:
    parameters = [Parameter("a", "UInt8", "x", default=0), Parameter("b", "String", "x", optional=True)]
    assert values(parameters, {}) == {"a": 0}
    assert values(parameters, {"a": [], "b": []}) == {"a": 0}


def test_what_must_be_given_is_asked_for_by_its_description() -> None:
    assert problems([Parameter("a", "String", "the product on the page")], {}) == {
        "a": "missing; the product on the page"
    }


def test_a_repeated_parameter_takes_many_values_and_no_commas() -> None:
    repeated = Parameter("a", "String", "x", repeated=True)
    assert values([repeated], {"a": ["b", "c,d"]}) == {"a": ["b", "c,d"]}
    assert values([Parameter("a", "UInt8", "x", repeated=True, default=(5,))], {}) == {"a": [5]}
    assert problems([repeated], {"a": ["b"] * 1001}) == {"a": "1001 values; at most 1000"}
    assert "missing" in problems([repeated], {"a": []})["a"]


def test_values_with_commas_between_them_are_several() -> None:
    numbers = Parameter("a", "UInt8", "x", repeated=True, separated=True, maximum=9)
    assert values([numbers], {"a": ["1,2,3"]}) == {"a": [1, 2, 3]}
    assert values([numbers], {"a": ["1", "2"]}) == {"a": [1, 2]}
    assert values([numbers], {"a": [1]}) == {"a": [1]}
    assert problems([numbers], {"a": ["1,2,30"]}) == {"a": "'30' is not between 0 and 9"}
    assert problems([numbers], {"a": ["1,2", "3"]})["a"].startswith("'1,2' is not a whole number")
    assert problems([numbers], {"a": ["1,"]})["a"].startswith("'' is not a whole number")
    assert problems([numbers], {"a": ["1," * 1_000_000]}) == {"a": "1000001 values; at most 1000"}
    assert problems([numbers], {"a": [["1,2"]]})["a"].startswith('["1,2"] is not a whole number')


def test_a_comma_within_a_value_has_a_backslash_or_the_value_is_repeated() -> None:
    texts = Parameter("a", "String", "x", repeated=True, separated=True)
    assert values([texts], {"a": ["b\\,c,d\\"]}) == {"a": ["b,c", "d\\"]}
    assert values([texts], {"a": ["b,c", "d"]}) == {"a": ["b,c", "d"]}


def test_lengths_are_counted_in_characters() -> None:
    three: dict[str, Any] = {"min_length": 3, "max_length": 3}
    assert one("String", "🧉🧉🧉", **three) == "🧉🧉🧉"
    assert problem("String", "ab", **three) == "'ab' has 2 characters; it takes 3"
    assert problem("String", "a" * 900, min_length=1, max_length=5) == (
        f"'{'a' * 56}… has 900 characters; it takes between 1 and 5"
    )


def test_a_pattern_holds_for_the_whole_value() -> None:
    sku: dict[str, Any] = {"pattern": r"[A-Z]{2}\d+"}
    assert one("String", "AB12", **sku) == "AB12"
    for bad in ("AB12 ", "xAB12", "AB12\n", "AB", "AB١", "ab12", ""):
        assert "does not match /[A-Z]{2}\\d+/" in problem("String", bad, **sku)
    many = Parameter("a", "String", "x", repeated=True, separated=True, **sku)
    assert values([many], {"a": ["AB1,CD2"]}) == {"a": ["AB1", "CD2"]}
    assert "'cd' does not match" in problems([many], {"a": ["AB1,cd"]})["a"]


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)+b", "(.*)*b", "(a?){200}b", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_no_value_makes_a_pattern_slow(pattern: str) -> None:
    """These take Python's own patterns longer than the universe has been there."""
    started = time.process_time()
    for value in ("a" * 1000, "a" * 999 + "!", "aA" * 500, "é" * 1000):
        problem("String", value, pattern=pattern)
    assert time.process_time() - started < 1


def test_days_and_times_keep_to_their_range() -> None:
    days: dict[str, Any] = {"minimum": date(2020, 1, 1), "maximum": date(2030, 12, 31)}
    assert one("Date", "2030-12-31", **days) == date(2030, 12, 31)
    assert problem("Date", "2031-01-01", **days) == "'2031-01-01' is not between 2020-01-01 and 2030-12-31"
    times: dict[str, Any] = {"minimum": datetime(2020, 1, 1, tzinfo=UTC), "maximum": datetime(2020, 1, 2, tzinfo=UTC)}
    assert one("DateTime", "2020-01-02T01:00:00+05:00", **times).hour == 1
    assert problem("DateTime", "2020-01-02T00:00:01", **times) == (
        "'2020-01-02T00:00:01' is not between 2020-01-01T00:00:00Z and 2020-01-02T00:00:00Z"
    )


def test_a_value_that_is_none_of_a_set_is_told_the_nearest() -> None:
    assert problem("String", "newst", choices=("best", "newest")) == (
        "'newst' is not one of best, newest; did you mean newest?"
    )


STRANGE: list[Any] = [
    *(
        "'",
        "\0",
        "x" * 1_000_000,
        "🧉",
        "\ud800",
        "a\udfffb",
        "-1",
        "NaN",
        "nan",
        "Infinity",
        "1e999",
        "0x10",
        "--1",
        "",
    ),
    *(
        -1,
        2**64,
        -(2**64),
        10**5000,
        1.5,
        float("nan"),
        float("inf"),
        True,
        None,
        [],
        [[]],
        [["a", ["b"]]],
        {},
        {"a": 1},
    ),
    *(
        "2026-02-30",
        "9999-12-31T23:59:59+14:00",
        "0001-01-01",
        "2026-01-31T25:00",
        "١",
        "1,2,3",
        ",",
        "\\,",
        "%s",
        "\r\n",
    ),
]
KINDS = [
    ":a String  x",
    ":a String (1..3, /[a-z]+|🧉/)  x",
    ":a String (b, c)  x",
    ":a UInt64  x",
    ":a Int8 (-5..5)  x",
    ":a Float64 (0..1)  x",
    ":a Bool  x",
    ":a Date (2020-01-01..2030-12-31)  x",
    ":a DateTime (2020-01-01..2030-12-31)  x",
    ":a Array(String) (/.*/)  x",
    ":a Array(UInt8) = [1]  x",
    ":a Array(Date)  x",
]


@pytest.mark.parametrize("line", KINDS)
def test_whatever_comes_is_a_value_of_the_type_or_a_short_refusal(shop: Service, line: str) -> None:
    parameter = parse_declaration(line, 1)
    bound = []
    for value in STRANGE:
        for given in ([value], [value, value]):
            try:
                bound.append(values([parameter], {"a": given})["a"])
            except BadParameters as error:
                assert error.status == 400
                assert 0 < len(str(error).encode()) < 500
    for value in bound[:10]:
        shop.warehouse.rows(f"select {{a:{parameter.sql_type}}}", {"a": value})


def test_one_value_is_what_the_others_take() -> None:
    assert "given 2 times" in problems([Parameter("a", "UInt8", "x")], {"a": ["1", "2"]})["a"]


def test_all_faults_are_told_at_once() -> None:
    parameters = [
        Parameter("item_id", "String", "the product"),
        Parameter("limit", "UInt16", "x", default=10),
        Parameter("since", "Date", "x", optional=True),
    ]
    found = problems(parameters, {"limit": ["x"], "since": ["y"], "limt": ["5"], "zebra": ["5"]})
    assert set(found) == {"item_id", "limit", "since", "limt", "zebra"}
    assert found["limt"] == "not a parameter of this pipe; did you mean limit?"
    assert found["zebra"] == "not a parameter of this pipe; it takes item_id, limit, since"


def test_the_clock_cannot_be_given() -> None:
    assert set(problems([], {"now": ["2020-01-01"]})) == {"now"}


def test_strange_names_are_told_of_briefly() -> None:
    found = problems([Parameter("a", "UInt8", "x", optional=True)], {"\ud800": ["1"], "x" * 1_000_000: ["1"]})
    assert [len(name.encode()) < 70 for name in found] == [True, True]
    many: dict[str, list[Any]] = {f"name{number}": ["1"] for number in range(50_000)}
    assert len(problems([Parameter("a", "UInt8", "x", optional=True)], many)) == 20


HOSTILE = [
    *("'", "''", "\\", "\\'", "\\\\", "\\N", "\\n", "\\x27", "\\0", '"', "`", "\t", "\n", "\r", "\b", "\x01", "\x1b"),
    *(
        "']",
        "[]",
        "{a:String}",
        "{{ a }}",
        "%s",
        "%(now)s",
        "--",
        "/*",
        ";",
        "NULL",
        "\u2028",
        "\ufeff",
        "\u2018\u2019",
        "😀",
    ),
    "', file('/etc/passwd')) --",
]


def test_values_reach_the_engine_as_they_were_given(shop: Service) -> None:
    parameters = [Parameter("a", "String", "x"), Parameter("b", "String", "x", repeated=True)]
    for value in HOSTILE:
        bound = values(parameters, {"a": [value], "b": [value, "end"]})
        assert shop.warehouse.rows("select {a:String}, {b:Array(String)}", bound).data == [[value, [value, "end"]]]


def test_a_time_reaches_the_engine_in_utc(shop: Service) -> None:
    parameter = Parameter("a", "DateTime", "x")
    bound = values([parameter], {"a": ["2026-01-31T12:00:00+05:00"]})
    rows = shop.warehouse.rows(f"select {{a:{parameter.sql_type}}}", bound)
    assert rows.data == [["2026-01-31T07:00:00.000Z"]]


def test_the_largest_and_smallest_numbers_reach_the_engine(shop: Service) -> None:
    for kind, low, high in (("UInt64", 0, 2**64 - 1), ("Int64", -(2**63), 2**63 - 1), ("UInt8", 0, 255)):
        bound = values([Parameter("a", kind, "x", repeated=True)], {"a": [str(low), str(high)]})
        assert shop.warehouse.rows(f"select {{a:Array({kind})}}", bound).data == [[[low, high]]]


def test_a_list_of_json_is_not_taken_apart_again() -> None:
    words = Parameter("words", "String", "x", repeated=True, separated=True)
    assert values([words], {"words": ["tea,mug"]}) == {"words": ["tea", "mug"]}
    assert values([words], {"words": Listed(["tea,mug"])}) == {"words": ["tea,mug"]}
