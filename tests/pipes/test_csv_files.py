"""CSV files reach SQL only as literals, and their faults are reported with their lines."""

from __future__ import annotations

import pytest

from alsobought.errors import PipeFault
from alsobought.events import STORED_TYPES
from alsobought.pipes.csv_files import CsvFile, read_csv
from tests.support.project import ROOT

WORDS = {"event_type": STORED_TYPES, "pipe": ("*", "for_you", "trending")}
RULES = (ROOT / "sql" / "rules.csv").read_text().split("\n", 1)[0]


def parsed(text: str, name: str = "some.csv") -> CsvFile:
    return read_csv(name, text, WORDS)


def faults(text: str, name: str = "some.csv") -> list[str]:
    with pytest.raises(PipeFault) as raised:
        parsed(text, name)
    return [f"{fault.line}: {fault}" for fault in raised.value.all]


def test_columns_become_typed_arrays_and_rows_are_filtered_by_value() -> None:
    file = parsed("# Notes.\nname String,since Date = 2026-01-01,n UInt8?\n\n'tea',2026-02-03,1\nmug,,\n")
    assert str(file("name")) == r"cast(['\'tea\'', 'mug'], 'Array(String)')"
    assert str(file("since")) == "cast(['2026-02-03', '2026-01-01'], 'Array(Date)')"
    assert str(file("n")) == "cast([1, NULL], 'Array(Nullable(UInt8))')"
    assert str(file("name", "n", name="mug")) == "cast([('mug', NULL)], 'Array(Tuple(String, Nullable(UInt8)))')"
    assert str(file("name", n=True)) == r"cast(['\'tea\''], 'Array(String)')"
    assert str(file("name", n=False)) == "cast(['mug'], 'Array(String)')"
    assert [bool(file(name="mug")), bool(file(name="pot"))] == [True, False]
    with pytest.raises(PipeFault, match=r"some.csv has no column nmae. Did you mean name\? There are name, since, n"):
        file("nmae")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1: some.csv is empty"]),
        ("event_typ\nview\n", ["1: some.csv, line 1: 'event_typ' is not a column. Write a name and a type"]),
        ("weight Flot\n1\n", ["1: some.csv, line 1: weight has the type Flot. There are String, "]),
        ("a String;b String\nx\n", ["1: some.csv, line 1: 'a String;b String' is not a column. Write"]),
        ("a String,a String\nx,y\n", ["1: some.csv, line 1: a appears twice"]),
        ("a Array(String)\nx\n", ["1: some.csv, line 1: a takes several values"]),
        ("a String,b UInt8\nx\ny,300\n", ["2: some.csv, line 2: 1 value, but the first line declares 2 columns. Empty",
                                          "3: some.csv, line 3: b: '300' is not between 0 and 255"]),
        ("a UInt8\n x\n", ["2: some.csv, line 2: a: 'x' is not a whole number between 0 and 255"]),
        ("a UInt8,b String\n,x\n", ["2: some.csv, line 2: a: missing"]),
        ('a String\n"x\n', ["2: some.csv, line 2: cannot be read: "]),
        ("a String\n{limit:UInt16}\n", ["2: some.csv, line 2: a: '{limit:' is not allowed in a value"]),
        ("a String\nx\x02y\n", ["2: some.csv, line 2: a: '\\x02' is not allowed in a value"]),
    ],
)  # fmt: skip
def test_a_fault_has_its_line_and_a_hint(text: str, expected: list[str]) -> None:
    messages = faults(text)
    assert len(messages) == len(expected)
    assert all(message.startswith(start) for message, start in zip(messages, expected, strict=True)), messages


def test_signals_only_name_existing_event_types() -> None:
    header = "event_type String,weight Float64 (-1000..1000)\n"
    assert faults(header + "veiw,1\nview,much\nlike,3\nlike,4\n", "signals.csv") == [
        "2: signals.csv, line 2: event_type: 'veiw' is not one of impression, click, view, add_to_cart, "
        "remove_from_cart, purchase, like, dislike, refund, refunded_purchase; did you mean view?",
        "3: signals.csv, line 3: weight: 'much' is not a number",
        "5: signals.csv, line 5: like is already in line 4. Keep one of the two lines",
    ]


def test_incomplete_rules_are_reported() -> None:
    lines = [
        "for_you,pin,tea,,2,2026-12-01,2026-12-24",
        "*,boost,,Kitchen,1.5,,",
        "fro_you,hide,tea,,,,",
        "*,show,tea,,,,",
        "*,hide,tea,Kitchen,,,",
        "*,pin,tea,,1.5,,",
        "*,boost,tea,,,,",
        "*,hide,tea,,1,31.12.2026,",
        "*,hide,tea,,,2026-12-24,2026-12-01",
    ]
    assert [message[:90] for message in faults("\n".join([RULES, *lines]), "rules.csv")] == [
        "4: rules.csv, line 4: pipe: 'fro_you' is not one of *, for_you, trending; did you mean for",
        "5: rules.csv, line 5: rule: 'show' is not one of pin, boost, hide",
        "6: rules.csv, line 6: needs either an item_id or a category. Leave the other one empty",
        "7: rules.csv, line 7: pin needs an item_id and a position. Write its position as value, a ",
        "8: rules.csv, line 8: boost needs a factor. Write it as value: 2 doubles the score, 0.5 ha",
        "9: rules.csv, line 9: from: '31.12.2026' is not a date like 2026-01-31",
        "10: rules.csv, line 10: from 2026-12-24 is after until 2026-12-01. Both days are included",
    ]


@pytest.mark.parametrize("name", ["rules.csv", "signals.csv"])
def test_the_csv_files_of_the_project_are_valid(name: str) -> None:
    parsed((ROOT / "sql" / name).read_text(), name)


def test_categories_are_paths_however_they_are_written() -> None:
    header = 'pipe String = *,"rule String (pin, boost, hide)",item_id String?,category String?,value Float64?\n'
    file = read_csv("rules.csv", header + "*,hide,,Kitchen > Tea,\n*,boost,,Kitchen|Mugs,2\n*,hide,tea > 3,,\n", {})
    assert str(file("item_id", "category")) == (
        "cast([('', 'Kitchen/Tea'), ('', 'Kitchen/Mugs'), ('tea > 3', '')], 'Array(Tuple(String, String))')"
    )
