"""sql/surfaces.yaml and sql/experiments.yaml: each fault has its line and what would have worked; the last valid file serves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from alsobought.errors import PipeFault
from alsobought.pipes import library as pipe_library
from alsobought.pipes.library import Library
from alsobought.surfaces.experiment_file import read_experiments
from alsobought.surfaces.live import LiveSurfaces
from alsobought.surfaces.surface_file import read_surfaces
from alsobought.surfaces.yaml_parts import Faults

NOW = datetime(2026, 12, 5, 12, tzinfo=UTC)
LIMIT = "-- :limit  UInt16 = 10 (1..100)  number of items\n"
FILTERS = "-- :exclude  Array(String)?  items to leave out; repeat it\n-- :category  String?  only this one\n"
PIPES = {
    "also_bought": f"-- :item_id  String  the product\n-- :baskets  UInt8 = 1 (1..9)  at least so many\n{LIMIT}{FILTERS}",
    "ranked": f"-- :item_id  String  the product\n{LIMIT}{FILTERS}",
    "popular": f"{LIMIT}{FILTERS}",
    "plain": LIMIT,
    "for_you": f"-- :user_id  String  the user\n{LIMIT}{FILTERS}",
    "people": f"-- Users.\n{LIMIT}",
    "by_taste": f"-- :taste  String  a word\n{LIMIT}{FILTERS}",
}
SURFACES = "bottom:\n  pipe: also_bought\n  limit: 8\n"
EXPERIMENT = "e:\n  surface: bottom\n  variants: {control: {share: 50%}, other: {share: 50%, pipe: ranked}}\n"


@pytest.fixture(scope="module")
def pipes(tmp_path_factory: pytest.TempPathFactory) -> Library:
    home = tmp_path_factory.mktemp("shop")
    (home / "pipes").mkdir()
    (home / "sql" / "macros").mkdir(parents=True)
    for name, header in PIPES.items():
        used = [word for word in ("item_id", "baskets", "user_id", "taste") if f":{word} " in header]
        conditions = [f"item_id != toString({{{{ {word} }}}})" for word in used]
        for word, condition in {
            "exclude": "item_id not in {{ exclude }}",
            "category": "item_id = {{ category }}",
        }.items():
            conditions += [f"{{% if {word} %}}{condition}{{% else %}}1{{% endif %}}"] if f":{word} " in header else []
        where = f"where {' and '.join(conditions)}" if conditions else ""
        text = f"-- A list.\n{header}select item_id from items {where} order by item_id limit {{{{ limit }}}}\n"
        (home / "pipes" / f"{name}.sql").write_text(text.replace("item_id", "user_id") if name == "people" else text)
    return Library(
        home / "pipes",
        home / "sql" / "macros",
        lambda: {"items": {"item_id": "String", "user_id": "String"}},
        lambda sql, _: [("user_id" if "select user_id" in sql else "item_id", "String")],
    )


def test_the_pipes_of_these_tests_are_valid(pipes: Library) -> None:
    assert {name: pipes.entry(name).faults for name in pipes.names()} == dict.fromkeys(PIPES, ())


def found(faults: Faults) -> list[str]:
    return [f"{fault.line}: {fault}" for fault in faults.all]


def surface_faults(text: str, pipes: Library) -> list[str]:
    faults = Faults()
    try:
        read_surfaces(text, pipes, faults)
    except PipeFault as fault:
        return [f"{fault.line}: {fault}"]
    return found(faults)


ONE = "a:\n  pipe: popular\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# nothing\n", []),
        (SURFACES + "  parameters: {baskets: 2}\n  fallbacks: popular\n  shadow: ranked\n", []),
        ("a: b: c\n", ["1: no YAML: mapping values are not allowed here. Indent with spaces"]),
        ("- a\n", ["1: a file of names, each followed by a colon, is needed"]),
        ("a: &x {pipe: popular}\nb: *x\n", ["2: no YAML: references (*name) are not allowed"]),
        ("a:\n", ["1: a has no values. Write below it, indented: pipe: …"]),
        (ONE + ONE, ["3: a is already in line 1. Keep one of the two"]),
        ("a b:\n  pipe: popular\n", ["1: 'a b' is not the name of a surface. Use letters"]),
        ("home.csv:\n  pipe: popular\n", ["1: 'home.csv' is not the name of a surface; it cannot end in .csv"]),
        ("a:\n  limit: 3\n", ["1: a has no pipe. Write pipe: and the name of one"]),
        ("a:\n  pipe: popula\n", ["2: there is no pipe 'popula'. Did you mean popular? There are also_bought, "]),
        ("a:\n  pipe: [popular]\n", ["2: pipe: a list is not a name"]),
        (ONE + "  limt: 3\n", ["3: a has no limt. Did you mean limit? There are pipe, parameters"]),
        (ONE + "  limit: 300\n", ["3: limit: 300 is not between 1 and 100. number of items"]),
        (ONE + "  limit: few\n", ["3: limit: 'few' is not a whole number between 1 and 100"]),
        (ONE + "  parameters: {limit: 3}\n  limit: 3\n", ["4: limit is also among the parameters"]),
        (ONE + "  parameters:\n    days: 3\n", ["4: the pipe popular takes no days. There are limit, exclude, category"]),
        (ONE + "  parameters: 3\n", ["3: parameters: 3 has no names. Write parameters: {name: value}"]),
        ("a:\n  pipe: also_bought\n  parameters: {baskets: 10}\n", ["3: baskets: 10 is not between 1 and 9. at least"]),
        ("a:\n  pipe: for_you\n  parameters: {user_id: ada}\n", ["3: user_id cannot be fixed: everybody would see"]),
        (ONE + "  fallbacks: [also_bought]\n", ["3: also_bought needs item_id, which no request gives"]),
        (ONE + "  fallbacks: [nothing]\n", ["3: there is no pipe 'nothing'"]),
        (ONE + "  fallbacks:\n  - plain\n  - plain\n", ["5: plain is named twice"]),
        (ONE + "  fallbacks: {plain: 1}\n", ["3: fallbacks is not a list of names. Write fallbacks: [one, another]"]),
        (ONE + "  parameters: {category: Tea}\n  fallbacks: plain\n", ["4: plain does not take category, which the surf"]),
        (ONE + "  fallbacks: people\n", ["3: people cannot fill the list of popular: both must have a column item_id"]),
        (ONE + "  shadow: popular\n", ["3: popular is the pipe of the surface itself"]),
        (ONE + "  shadow: by_taste\n", ["3: by_taste needs taste, which no request gives"]),
    ],
)  # fmt: skip
def test_a_fault_of_a_surface_has_its_line_and_a_hint(text: str, expected: list[str], pipes: Library) -> None:
    messages = surface_faults(text, pipes)
    assert len(messages) == len(expected), messages
    assert all(message.startswith(start) for message, start in zip(messages, expected, strict=True)), messages


TURNS = EXPERIMENT + "  interleave: true\n"
TWO = "  variants: {control: {share: 50%}, other: {share: 50%}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (EXPERIMENT, []),
        (EXPERIMENT + "  unit: session\n  guardrails: [click_through_rate]\n  from: 2026-12-01\n  until: 2026-12-01\n", []),
        ("e:\n  variants: {a: {share: 50%}, b: {share: 50%}}\n", ["1: e has no surface. There are bottom"]),
        ("e:\n  surface: botom\n" + TWO, ["2: no valid surface is called 'botom'. Did you mean bottom? There are bottom"]),
        ("e:\n  surface: bottom\n", ["1: e has fewer than two variants. Write variants: control: {share: 50%}"]),
        (EXPERIMENT + "  unit: visitor\n", ["4: unit: visitor is not one of user, session"]),
        (EXPERIMENT + "  form: 2026-12-01\n", ["4: e has no form. Did you mean from? There are surface, unit"]),
        (EXPERIMENT + "  from: tomorrow\n", ["4: from: 'tomorrow' is not a day. Write from: 2026-12-24"]),
        (EXPERIMENT + "  from: 2026-02-30\n", ["4: no YAML: '2026-02-30': day is out of range for month"]),
        (EXPERIMENT + "  from: 2026-12-31\n  until: 2026-12-01\n", ["4: from 2026-12-31 is after until 2026-12-01"]),
        (TURNS + "  metric: carts\n  minimum_effect: 4%\n", []),
        (TURNS.replace("true", "yes please"), ["4: interleave: 'yes please' is neither true nor false"]),
        (TURNS + "  metric: revenue_per_unit\n", ["5: metric: interleaved lists cannot be judged by revenue_per_unit. Write one"]),
        (EXPERIMENT + "  metric: clicks\n", ["4: metric: clicks judges interleaved lists. Write one of revenue_per_unit"]),
        (TURNS + "  metric: click\n", ["5: metric: click is not one of clicks, carts, purchases"]),
        (TURNS + "  guardrails: [click_through_rate]\n", ["5: every user sees both variants in one list"]),
        (TURNS + "  minimum_effect: 60%\n", ["5: minimum_effect: no preference is 60% from one half"]),
        (TURNS.replace("50%", "40%", 1), ["3: the variants of e have different shares, and an interleaved list is filled by bo"]),
        (TURNS.replace("pipe: ranked", "holdout: true"), ["3: e interleaves two lists: it takes two variants, and no holdout"]),
        (TURNS.replace("50%", "30%").replace("}}", "}, c: {share: 30%}}"), ["3: e interleaves two lists: it takes two"]),
        (TURNS.replace("pipe: ranked", "pipe: people"), ["3: people does not take category", "3: people is no list of items"]),
        (EXPERIMENT.replace("50%", "60%"), ["3: the shares of e sum to 120%. Write at most 100%: the rest sees no vari"]),
        (EXPERIMENT.replace("control: {share: 50%}", "control: {share: half}"), ["3: share: half is not a share. Write a"]),
        (EXPERIMENT.replace("control: {share: 50%}", "control: {}"), ["3: control has no share"]),
        (EXPERIMENT.replace("control: {share: 50%}", "control: {share: 0%}"), ["3: share: 0% is not a share"]),
        (EXPERIMENT.replace("other: {share: 50%, pipe: ranked}", "control: {share: 50%}"),
         ["3: control is already in line 3", "3: e has fewer than two variants"]),
        (EXPERIMENT.replace("control: {", "control: {holdout: true, "), ["3: the first variant is the control: it cannot"]),
        (EXPERIMENT.replace("pipe:", "holdout: true, pipe:"), ["3: other is a holdout, which shows nothing. Leave out"]),
        (EXPERIMENT.replace("pipe:", "pip:"), ["3: other has no pip. Did you mean pipe?"]),
        (EXPERIMENT.replace("ranked", "rank"), ["3: there is no pipe 'rank'. Did you mean ranked?"]),
        (EXPERIMENT.replace("ranked", "plain"), ["3: plain does not take category, by which"]),
        (EXPERIMENT.replace("ranked", "by_taste"), ["3: by_taste needs taste, which no request gives"]),
        (EXPERIMENT.replace("ranked", "ranked, parameters: {baskets: 2}"), ["3: the pipe ranked takes no baskets"]),
        (EXPERIMENT + EXPERIMENT.replace("e:", "f:", 1), ["5: e is on bottom in the same days, always. A surface has one"]),
        (EXPERIMENT + "  until: 2026-12-05\n" + EXPERIMENT.replace("e:", "f:", 1) + "  from: 2026-12-05\n",
         ["6: e is on bottom in the same days, until 2026-12-05"]),
        (EXPERIMENT + "  until: 2026-12-05\n" + EXPERIMENT.replace("e:", "f:", 1) + "  from: 2026-12-06\n", []),
    ],
)  # fmt: skip
def test_a_fault_of_an_experiment_has_its_line_and_a_hint(text: str, expected: list[str], pipes: Library) -> None:
    faults = Faults()
    surfaces = read_surfaces(SURFACES, pipes, Faults())
    messages = []
    try:
        read_experiments(text, surfaces, pipes, faults)
    except PipeFault as fault:
        messages = [f"{fault.line}: {fault}"]
    messages = messages or found(faults)
    assert len(messages) == len(expected), messages
    assert all(message.startswith(start) for message, start in zip(messages, expected, strict=True)), messages


def test_a_saved_file_is_live_and_one_with_a_fault_is_not(
    pipes: Library, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe_library, "RETRY_SECONDS", 0.0)
    surfaces, experiments = tmp_path / "sql" / "surfaces.yaml", tmp_path / "sql" / "experiments.yaml"
    surfaces.parent.mkdir()
    surfaces.write_text(f"{SURFACES}broken:\n  pipe: nothing\n")
    experiments.write_text(EXPERIMENT)
    live = LiveSurfaces(tmp_path, pipes)
    assert list(live.current().surfaces) == ["bottom"], "after a start, those without a fault"
    assert caplog.messages[0].startswith("sql/surfaces.yaml:5: there is no pipe 'nothing'. There are also_bought")
    assert caplog.messages[0].endswith("; it is left out")
    surfaces.write_text(SURFACES.replace("8", "9"))
    layout = live.current()
    assert (layout.surfaces["bottom"].limit, live.faults, live.current()) == (9, {}, layout)
    surfaces.write_text(SURFACES.replace("8", "900"))
    experiments.write_text("e: {}\n")
    assert live.current() == layout, "the last valid ones"
    assert live.current() == layout
    assert sorted(live.faults) == ["experiments.yaml", "surfaces.yaml"]
    assert [message.endswith("; the last valid file serves") for message in caplog.messages[1:]] == [True] * 3
    surfaces.write_text(SURFACES)
    experiments.unlink()
    assert (live.current().surfaces["bottom"].limit, live.current().experiments.by_name) == (8, {})
