"""The command line, each command in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from alsobought.cli.main import main
from tests.support.process import Run, assert_error, running, write
from tests.support.project import ROOT, project_folder
from tests.support.web import VIEW


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("migrate", "up")`: a command on a folder of this test's own."""
    return running(tmp_path / "data")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the project's SQL, to damage."""
    home = tmp_path / "home"
    project_folder(home, "pipes", "sql", "migrations", "tests/pipes")
    return home


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Commands on a folder that holds ten orders of tea and a mug. For tests that only read."""
    folder = tmp_path_factory.mktemp("loaded")
    line = {"event_type": "purchase", "user_id": "u"}
    write(
        folder / "e.ndjson",
        *(line | {"item_id": item, "order_id": f"o{n}"} for n in range(10) for item in ("tea", "mug")),
    )
    run = running(folder / "data")
    assert run("load", "events", folder / "e.ndjson").status == 0
    return run


# Help


def commands() -> Iterator[tuple[str, ...]]:
    queue: list[tuple[tuple[str, ...], click.Command]] = [((), main)]
    while queue:
        words, command = queue.pop()
        yield words
        if isinstance(command, click.Group):
            queue += [((*words, name), subcommand) for name, subcommand in command.commands.items()]


@pytest.mark.parametrize("words", sorted(commands()), ids=" ".join)
def test_the_help_of_every_command_ends_with_an_example_of_it(words: tuple[str, ...]) -> None:
    ran = CliRunner().invoke(main, [*words, "--help"], terminal_width=200)
    assert ran.exit_code == 0
    (example,) = re.findall(r"^  Example: .*$", ran.output, re.MULTILINE)
    assert " ".join(["alsobought", *words]) in example


# Pipes


def test_pipes_are_listed_with_their_sentences(run: Run) -> None:
    ran = run("pipe", "ls")
    assert ran.status == 0
    for path in (ROOT / "pipes").glob("*.sql"):
        words = path.read_text().removeprefix("-- ").split()[:4]
        assert re.search(rf"^ *{path.stem} +{re.escape(' '.join(words))}", ran.out, re.MULTILINE)


def test_a_pipe_is_run_with_parameters(loaded: Run) -> None:
    ran = loaded("pipe", "run", "also_bought", "item_id=tea", "item_id=mug", "limit=1")
    assert (ran.status, ran.err) == (0, "")
    rows = json.loads(ran.out)
    assert [(row["item_id"], row["other_item_id"], row["baskets"]) for row in rows] == [
        ("mug", "tea", 10),
        ("tea", "mug", 10),
    ]


def test_invalid_parameters_are_one_sentence(loaded: Run) -> None:
    assert_error(loaded("pipe", "run", "alsobought"), "no pipe called 'alsobought'", "also_bought")
    assert_error(
        loaded("pipe", "run", "also_bought", "limit=0", "x=1"),
        "item_id: missing",
        "limit: '0' is not between",
        "x: not a",
    )
    assert_error(loaded("pipe", "run", "also_bought", "tea"), "'tea' is not a parameter", "name=value")


def test_a_broken_pipe_is_reported_with_its_line_and_the_others_work(loaded: Run, home: Path) -> None:
    run = loaded.at(home)
    (home / "pipes" / "broken.sql").write_text("-- Broken.\nselect item_id\nfrom itms\norder by item_id\nlimit 1\n")
    (home / "pipes" / "headless.sql").write_text("select 1\n")
    (home / "pipes" / "latin.sql").write_bytes(b"-- Caf\xe9.\nselect 1\n")
    ran = run("pipe", "check")
    assert ran.status == 1
    assert "there is no table itms" in ran.out
    assert "pipes/headless.sql:1: the first line must be a comment" in ran.out
    assert re.search("^pipes/latin.sql: .*not UTF-8", ran.out, re.MULTILINE)
    assert {"also_bought", "trending"} <= set(re.findall(r"^ok (\S+)$", ran.out, re.MULTILINE))
    assert run("pipe", "check", "also_bought").out == "ok also_bought\n"
    ran = run("pipe", "ls")
    assert (ran.status, ran.err) == (0, "")
    assert re.search(r"^ *headless +the first line must be a comment", ran.out, re.MULTILINE)
    assert re.search(r"^ *also_bought +\S+ \S+", ran.out, re.MULTILINE)
    assert_error(run("pipe", "run", "broken"), "the pipe broken is broken")
    assert run("pipe", "run", "trending").status == 0


def test_the_line_of_a_fault_is_shown(run: Run, home: Path) -> None:
    text = "-- A table that lacks.\n\nselect\n    sleep(3) as nap\nfrom items\norder by nap\nlimit 1\n"
    (home / "pipes" / "broken.sql").write_text(text)
    ran = run.at(home)("pipe", "check", "broken")
    assert ran.status == 1
    assert ran.out.startswith("pipes/broken.sql:4: the function sleep is not allowed")
    assert ran.out.splitlines()[1] == "    4 |     sleep(3) as nap"


def test_cases_are_run_and_a_failing_one_is_reported(run: Run, home: Path) -> None:
    (home / "pipes" / "viewed.sql").write_text(
        "-- Users.\nselect user_id, count() as views from events group by user_id order by user_id limit 10\n"
    )
    cases = "- it: counts the views\n  given: [{event_type: view, item_id: tea}]\n  answer: [{user_id: someone, views: 1}]\n"
    file = home / "tests" / "pipes" / "viewed.yaml"
    file.write_text(cases)
    ran = run.at(home)("pipe", "test", "viewed")
    assert ran.status == 0
    assert re.fullmatch(r"ok viewed counts the views \(\d+ ms\)\n[\d.]+ s: 1 passed, 0 failed\n", ran.out)
    file.write_text(cases + cases.replace("views: 1", "views: 2").replace("counts", "doubles"))
    ran = run.at(home)("pipe", "test", "viewed")
    assert ran.status == 1
    assert re.search(r"^failed viewed doubles the views \(\d+ ms\)\n +row 1: views is 1, not 2$", ran.out, re.MULTILINE)
    assert ran.out.endswith("1 passed, 1 failed\n")
    assert_error(run.at(home)("pipe", "test", "nothing"), "no cases of nothing in ", "There are active_users, ")


# Check


def test_check_passes_and_finds_a_planted_wrong_count(run: Run, tmp_path: Path) -> None:
    assert run("load", "events", write(tmp_path / "e.ndjson", VIEW, VIEW | {"event_type": "click"})).status == 0
    checks = sorted(path.stem for kind in ("checks", "serving") for path in (ROOT / "sql" / kind).glob("*.sql"))
    ran = run("check")
    assert (ran.status, ran.err) == (0, "")
    assert sorted(re.findall(r"^ok +(\S+) ", ran.out, re.MULTILINE)) == checks
    run.python(
        """
        from alsobought.settings import from_environment
        from alsobought.storage.clickhouse import open_warehouse
        warehouse = open_warehouse(from_environment())
        warehouse.command("insert into alsobought.item_hours values ('2026-01-01 10:00:00', 'view', 1, '', 1)")
        warehouse.close()
        """
    )
    ran = run("check")
    assert ran.status == 1
    assert re.findall(r"^wrong +(\S+) .*, 1 of them wrong$", ran.out, re.MULTILINE) == ["item_hours"]
    assert sorted([*re.findall(r"^ok +(\S+) ", ran.out, re.MULTILINE), "item_hours"]) == checks


def test_a_command_imports_what_it_needs_and_not_the_others() -> None:
    heavy = "sorted({'sqlglot', 'numpy', 'flask', 'chdb', 'confluent_kafka'} & sys.modules.keys())"
    program = f"import sys; from alsobought.cli.main import main; main(['migrate', '-h'], standalone_mode=False); print({heavy})"
    ran = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
