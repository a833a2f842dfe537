"""Deprecated parameters: the former name of a parameter goes on working, and so does one that another pipe answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from alsobought.errors import BadParameters, PipeFault
from alsobought.pipes.header import Deprecation, Header, read_header
from alsobought.pipes.library import Library, Pipe
from alsobought.pipes.parameter_groups import read_group
from alsobought.pipes.parameters import values

SINCE = date(2026, 1, 31)


def read(*lines: str) -> Header:
    return read_header("-- Best first.\n" + "\n".join(f"-- {line}" for line in lines) + "\nselect 1")


def test_a_parameter_has_its_former_names() -> None:
    header = read(
        ":shop  String?  the shop", "@deprecated store 2026-01-31  use shop", "@deprecated at 2026-01-31 use shop"
    )
    assert header.parameters[0].former_names == ("store", "at")
    assert header.deprecated[0] == Deprecation("store", SINCE, parameter="shop", line=3)
    assert header.deprecated[0].sentence == "deprecated since 2026-01-31: use shop"
    assert header.moved == ()


def test_a_parameter_may_have_moved_to_another_pipe() -> None:
    header = read(":limit  UInt8 = 5  rows", "@deprecated score 2026-01-31  use pipe by_score")
    assert header.moved == (Deprecation("score", SINCE, pipe="by_score", line=3),)
    assert header.moved[0].sentence == "deprecated since 2026-01-31: use the pipe by_score"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["@deprecated"], "is incomplete or misspelled.*use new_name"),
        (["@deprecated a"], "is incomplete or misspelled"),
        (["@deprecated a 2026-01-31 b"], "is incomplete or misspelled"),
        (["@deprecated a b  use limit"], "@deprecated a: b is not a date"),
        (["@deprecated a 2026-02-31  use limit"], "2026-02-31 is not a date"),
        (["@deprecated a 2026-01-31  use limits"], "@deprecated a: limits is not a parameter. Did you mean limit"),
        (["@deprecated limit 2026-01-31  use pipe x"], ":limit is both declared and deprecated"),
        (
            ["@deprecated a 2026-01-31  use limit", "@deprecated a 2026-01-31  use pipe x"],
            "@deprecated a appears twice",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(lines: list[str], says: str) -> None:
    with pytest.raises(PipeFault, match=says) as raised:
        read(":limit  UInt8 = 5  rows", *lines)
    assert raised.value.line == len(lines) + 2


def test_a_group_may_deprecate_and_a_header_override() -> None:
    group = read_group(
        "user", "-- For whom.\n-- :history  String?  x\n-- @deprecated leave_out 2026-01-31  use history\n"
    )
    text = "-- Best.\n-- :history  String = all  x\n-- @use user\nselect 1"
    header = read_header(text, {"user": group})
    assert [(one.name, one.default, one.former_names) for one in header.parameters] == [
        ("history", "all", ("leave_out",))
    ]
    assert header.deprecated[0].line == 3


# Values

SHOP = read(":shop  String = all (all, tea, mug)  the shop", "@deprecated store 2026-01-31  use shop").parameters


def test_a_former_name_binds_the_parameter() -> None:
    assert values(SHOP, {"store": ["tea"]}) == values(SHOP, {"shop": ["tea"]}) == {"shop": "tea"}
    assert values(SHOP, {"store": []}) == values(SHOP, {}) == {"shop": "all"}


@pytest.mark.parametrize(
    ("given", "param", "says"),
    [
        ({"store": ["tae"]}, "store", "'tae' is not one of all, tea, mug; did you mean tea?"),
        ({"store": ["tea"], "shop": ["mug"]}, "shop", "given also as store, its former name; give one of them"),
        ({"stroe": ["tea"]}, "stroe", "not a parameter of this pipe; it takes shop"),
    ],
)
def test_a_mistake_is_told_of_the_name_that_was_given(given: dict[str, list[str]], param: str, says: str) -> None:
    with pytest.raises(BadParameters) as raised:
        values(SHOP, given)
    assert [(fault.param, fault.problem) for fault in raised.value.details] == [(param, says)]


# In a folder of pipes

USUAL = "-- Usual.\n-- :limit  UInt8 = 5  rows\n-- @deprecated score 2026-01-31  use pipe by_score\n"
BY_SCORE = "-- By a score.\n-- :limit  UInt8 = 5  rows\n-- :score  String = lift  which\n"
SELECT = "select item_id from items where price > 1 order by item_id limit {{ limit }}"
SCORED = SELECT.replace("price > 1", "title = {{ score }}")


@pytest.fixture
def library_of(tmp_path: Path) -> Callable[..., Library]:
    """`library_of(usual="…")`: a folder with these pipes."""

    def make(**texts: str) -> Library:
        (tmp_path / "pipes").mkdir()
        for name, text in texts.items():
            (tmp_path / "pipes" / f"{name}.sql").write_text(text)
        columns = {"item_id": "String", "title": "String", "price": "Float64"}
        return Library(
            tmp_path / "pipes", tmp_path / "macros", lambda: {"items": columns}, lambda *_: [("item_id", "String")]
        )

    return make


def test_another_pipe_answers_a_parameter_that_moved_to_it(library_of: Callable[..., Library]) -> None:
    library = library_of(usual=USUAL + SELECT, by_score=BY_SCORE + SCORED)

    def answering(**given: object) -> Pipe:
        return library.answering("usual", given)

    assert answering(score=["lift"]).text == library["by_score"].text
    assert answering(score=["lift"]).name == "usual", "rules, the cache and `source` have the name that was asked"
    nothing_moved: list[dict[str, list[str] | None]] = [{}, {"limit": ["5"]}, {"score": []}, {"score": None}]
    for given in nothing_moved:
        assert answering(**given) is library["usual"]
        assert library["usual"].deprecated(given) == []
    assert [one.pipe for one in answering(score=["lift"]).deprecated({"score": ["lift"]})] == ["by_score"]
    assert library["usual"].accepts("score")
    assert not library["usual"].accepts("scores")


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"usual": USUAL + SELECT}, "@deprecated score: by_score is not a pipe"),
        ({"usual": USUAL + SELECT, "by_scores": BY_SCORE + SCORED}, "is not a pipe; did you mean by_scores?"),
        ({"usual": USUAL + SELECT, "by_score": "-- X.\n" + SELECT}, "by_score has no such parameter"),
    ],
)
def test_a_parameter_that_cannot_move_there_is_told(
    library_of: Callable[..., Library], texts: dict[str, str], says: str
) -> None:
    fault = library_of(**texts).entry("usual").fault
    assert fault
    assert fault.line == 3
    assert says in str(fault)
