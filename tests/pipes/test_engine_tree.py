"""Second barrier: the names that the engine's own parser reads, whatever our reading of a text is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from alsobought.errors import AlsoboughtError, PipeFault
from alsobought.pipes import validation
from alsobought.pipes.check import CheckedSql, check_sql
from alsobought.pipes.engine_tree import ForeignName, refuse_foreign_names
from alsobought.pipes.library import Library
from alsobought.service.service import Service
from tests.pipes.test_hostile import BENIGN, HOSTILE, SCHEMA, VALUES

CALLS = (
    *("files", "network and outside", "clock", "chance", "server", "introspection", "waiting and failing"),
    *("rows as they are read", "operators as functions"),
)
REACHES_OUT = {
    "a function": "select file('/etc/passwd') as a order by a limit 1",
    "a function in a lambda": "select arrayMap(x -> file(x), ['/etc/passwd']) as a order by a limit 1",
    "a name of a function": "select arrayMap(file, ['/etc/passwd']) as a order by a limit 1",
    "an aggregate by name": "select arrayReduce('groupArraySample(3)', [1]) as a order by a limit 1",
    "a dictionary of another database": "select dictGet('other.catalogue', 'title', 1) as a order by a limit 1",
    "a type": "select cast('a' as AggregateFunction(sum, UInt8)) as a order by a limit 1",
    "a table function": "select a from url('http://h/') order by a limit 1",
    "a table of another database": "select a from other.secrets order by a limit 1",
    "a table behind in": "select 1 as other, 1 in other.secrets as a order by a limit 1",
    "a table behind in and an alias": "select 1 as other, 1 in (other.secrets as z) as a order by a limit 1",
    "a table behind in and the alias of an alias": "with other.secrets as z, z as y select 1 in y as a order by a limit 1",
    "apply": "select * apply(toString) from items order by 1 limit 1",
    "columns": "select columns('item') from items order by 1 limit 1",
    "a file to write": "select 1 as a order by a limit 1 into outfile '/tmp/x'",
    "a comment in a comment": "select 1 /* /* */, file('/etc/passwd') -- */\n as a order by a limit 1",
    "a carriage return": "select 1 -- \r, file('/etc/passwd')\n as a order by a limit 1",
}


def tree(shop: Service, text: str) -> list[str]:
    values = {name: value for name, value in VALUES.items() if f"{{{name}:" in text}
    return shop.warehouse.syntax_tree(text if values else text + "\n-- {a:String}", values or {"a": ""})


def refused(shop: Service, text: str) -> bool:
    try:
        refuse_foreign_names(tree(shop, text))
    except ForeignName as fault:
        assert fault.message
        return True
    except AlsoboughtError:
        return True  # the engine cannot parse it
    return False


def test_each_way_out_is_refused_without_our_own_reading(shop: Service) -> None:
    assert [kind for kind, text in REACHES_OUT.items() if not refused(shop, text)] == [
        "a comment in a comment",  # for the engine the function is in the comment
        "a carriage return",
    ]


def test_every_unlisted_call_is_refused_without_our_own_reading(shop: Service) -> None:
    calls = [text for kind, text in HOSTILE if kind in CALLS]
    assert len(calls) > 100
    assert [text for text in calls if not refused(shop, text)] == []


def test_a_benign_text_passes(shop: Service) -> None:
    for text in BENIGN:
        refuse_foreign_names(tree(shop, text))


def test_asking_for_the_tree_runs_nothing(shop: Service) -> None:
    shop.warehouse.syntax_tree("select throwIf(1), sleep(3), file('/nowhere') -- {a:String}", {"a": ""})


HEADER = "-- T.\n-- :limit UInt16 = 9  How many.\n-- :a String  A.\n-- :b String  B.\n-- :c String  C.\n"
END = "order by item_id limit {{ limit }}\n"


class Engine:
    """Stands for an engine that reads a function in each text with this word."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.asked: list[str] = []

    def describe(self, sql: str, _: Mapping[str, Any]) -> list[tuple[str, str]]:
        self.asked.append(sql)
        return [("item_id", "String")]

    def read_tree(self, sql: str, _: Mapping[str, Any]) -> list[str]:
        function = "file" if self.word in sql else "plus"
        return ["SelectWithUnionQuery (children 1)", " ExpressionList (children 1)", f"  Function {function}"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pipes").mkdir()
    (tmp_path / "macros").mkdir()
    return tmp_path


def library(project: Path, engine: Engine) -> Library:
    return Library(project / "pipes", project / "macros", lambda: SCHEMA, engine.describe, read_tree=engine.read_tree)


def test_a_text_that_the_engine_reads_otherwise_is_a_fault_with_its_line(project: Path) -> None:
    engine = Engine("Profile")
    text = (
        "-- T.\n-- :limit UInt16 = 9  How many.\nselect item_id\nfrom items where title = 'the Profile of a file'\n"
        + END
    )
    entry = library(project, engine).draft("a", text)
    assert entry.pipe is None
    assert [(fault.line, fault.message) for fault in entry.faults] == [
        (4, "the function file is not allowed in a pipe")
    ]
    assert engine.asked == []


def test_a_choice_of_parameters_is_checked_by_both_readings_when_it_is_first_made(project: Path) -> None:
    engine = Engine("{b:String}")
    text = HEADER + "select item_id from items\nwhere 1{% if a %} or title = {{ a }}{% endif %}"
    text += "{% if c %} or title = {{ c }}{% if b %} or title = {{ b }}{% endif %}{% endif %}\n" + END
    (project / "pipes" / "p.sql").write_text(text)
    engine.word = "nothing"
    pipe = library(project, engine)["p"]
    assert "{c:String}" in pipe.sql(["a", "c"])
    engine.word = "{b:String}"
    with pytest.raises(PipeFault, match="the function file is not allowed"):
        pipe.sql(["b", "c"])


def test_nothing_hostile_reaches_the_engine(project: Path) -> None:
    engine = Engine("nothing")
    pipes = library(project, engine)
    entries = {text: pipes.draft("a", f"-- T.\n{text}\n") for _, text in HOSTILE[::5]}
    assert [text for text, entry in entries.items() if entry.pipe or not entry.faults] == []
    assert engine.asked == []


def test_our_reading_comes_first(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    """The engine is asked only about texts that are one SELECT for us: EXPLAIN would run a second statement."""
    order: list[str] = []

    def first(*arguments: Any) -> CheckedSql:
        order.append("ours")
        return check_sql(*arguments)

    def second(_: str, __: Mapping[str, Any]) -> list[str]:
        order.append("the engine's")
        return ["SelectWithUnionQuery (children 1)", " ExpressionList"]

    monkeypatch.setattr(validation, "check_sql", first)
    engine = Engine("nothing")
    pipes = Library(project / "pipes", project / "macros", lambda: SCHEMA, engine.describe, read_tree=second)
    assert pipes.draft("a", "-- T.\nselect item_id from items order by item_id limit 9\n").pipe
    assert order == ["ours", "the engine's"]
    assert not pipes.draft("a", "-- T.\nselect 1 order by 1 limit 1; drop table items\n").pipe
    assert order == ["ours", "the engine's", "ours"]
