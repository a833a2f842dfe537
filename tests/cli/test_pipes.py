"""`alsobought pipe …` in a project of its own, as an author of pipes uses it."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from alsobought.authoring.scaffold import create_pipe
from alsobought.cli.main import main
from alsobought.console import out
from alsobought.errors import Unusable
from tests.support.engines import Engine
from tests.support.process import CompletedRun, Run, assert_error, running, write
from tests.support.project import ROOT, project_folder

pytestmark = pytest.mark.embedded  # the author's warehouse is embedded


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one pipe, the pipes that it names, and their macros; tests add files."""
    home = tmp_path_factory.mktemp("author") / "home"
    project_folder(home, "sql", "migrations")
    pipes = ("also_bought", "also_bought_by_score", "trending", "popular", "all_items")
    for file in (*(f"pipes/{name}.sql" for name in pipes), "tests/pipes/trending.yaml"):
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, home / file)
    return home


@pytest.fixture(scope="module")
def run(home: Path) -> Run:
    """Commands on that project; its warehouse has 300 orders of tea and a mug."""
    run = running(home.parent / "data").at(home)
    purchases = [
        {"event_type": "purchase", "user_id": f"u{n}", "order_id": f"o{n}", "item_id": item}
        for n in range(300)
        for item in ("tea", "mug")
    ]
    assert run("load", "events", write(home.parent / "events.ndjson", *purchases)).status == 0
    return run


@pytest.fixture
def author(on: Engine, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CompletedRun]:
    """The same commands in this process, where the warehouse in memory is already open: ten times faster."""
    monkeypatch.setattr(out, "_width", 200)
    settings = {"ALSOBOUGHT_HOME": str(home), "ALSOBOUGHT_DATA": str(home.parent / "none")}

    def command(*words: str) -> CompletedRun:
        done = CliRunner().invoke(main, words, env=settings)
        return CompletedRun(done.exit_code, done.stdout, done.stderr)

    return command


def test_a_new_pipe_passes_its_cases_and_is_formatted(author: Callable[..., CompletedRun], home: Path) -> None:
    ran = author("pipe", "new", "most_seen")
    assert (ran.status, ran.out) == (0, "pipes/most_seen.sql\ntests/pipes/most_seen.yaml\n")
    assert author("pipe", "check", "most_seen").out == "ok most_seen\n"
    assert author("pipe", "test", "most_seen").out.endswith("4 passed, 0 failed\n")
    assert author("pipe", "fmt", "--check", "most_seen").status == 0
    assert_error(author("pipe", "new", "most_seen"), "pipes/most_seen.sql already exists")
    for name in ("Best Sellers", "../x", "", "a" + "\0"):
        with pytest.raises(Unusable, match="is not a valid pipe name"):
            create_pipe(home, name, "")


def test_a_pipe_is_created_as_a_copy(author: Callable[..., CompletedRun], home: Path) -> None:
    assert author("pipe", "new", "hot", "--like", "trending").status == 0
    assert (home / "pipes" / "hot.sql").read_text() == (home / "pipes" / "trending.sql").read_text()
    assert (home / "tests/pipes/hot.yaml").read_text() == (home / "tests/pipes/trending.yaml").read_text()
    with pytest.raises(Unusable, match=r"no pipe called 'nope'.*also_bought"):
        create_pipe(home, "cold", "nope")
    assert not (home / "pipes" / "cold.sql").exists()


def test_findings_are_printed_as_json(author: Callable[..., CompletedRun], home: Path) -> None:
    (home / "pipes" / "broken.sql").write_text("-- X.\nselect item_id\nfrom items\nwhere now() > 0\nlimit 1\n")
    ran = author("pipe", "check", "broken", "trending", "--json")
    (home / "pipes" / "broken.sql").unlink()
    broken, trending = json.loads(ran.out)
    assert ran.status == 1
    assert (broken["pipe"], broken["ok"], broken["findings"][0]["line"]) == ("broken", False, 4)
    assert broken["findings"][0]["severity"] == "error"
    assert "the function now" in broken["findings"][0]["message"]
    assert "{{ now }}" in broken["findings"][0]["hint"]
    assert trending == {"pipe": "trending", "ok": True, "private": False, "findings": []}


def test_a_pipe_is_formatted_and_its_header_stays(run: Run, author: Callable[..., CompletedRun], home: Path) -> None:
    header = f"-- A long sentence{' that goes on' * 12}.\n--\n-- :limit   UInt16=10(1..9)  how  many\n"
    path = home / "pipes" / "untidy.sql"
    path.write_text(header + "SELECT item_id FROM items\n\n\nORDER BY item_id LIMIT {{limit}}\n")
    ran = author("pipe", "fmt", "untidy", "--check")
    assert (ran.status, ran.out) == (1, "would change pipes/untidy.sql\n0 already formatted, 1 not\n")
    assert author("pipe", "fmt", "untidy").out == "formatted pipes/untidy.sql\n0 already formatted, 1 formatted\n"
    assert path.read_text() == header + "select item_id from items order by item_id limit {{ limit }}\n"
    path.write_text("-- X.\nselect {{ x from items\n")
    ran = author("pipe", "fmt", "untidy")
    path.unlink()
    assert ran.status == 1
    assert ran.out.startswith("pipes/untidy.sql: cannot format: ")
    path.write_text(header + "select 1\n")
    missing = "import sys; sys.modules['sqlfmt.api'] = None; from alsobought.cli.main import main; main()"
    assert_error(
        Run(run.settings, ("-c", missing))("pipe", "fmt"), "sqlfmt is not installed", "pip install 'alsobought[edit]'"
    )
    path.unlink()


def test_a_pipe_is_shown_with_its_lineage(author: Callable[..., CompletedRun]) -> None:
    shown = author("pipe", "show", "also_bought").out
    for line in (
        r"^also_bought +version [0-9a-f]{12}$",
        r"^ +limit +UInt16 += 10 \(1\.\.100\) +number of rows for each",
        r"^ +brand +Array\(String\) +optional +only these brands",
        r"^ +leave_out +deprecated since 2026-11-29: use exclude_history",
        r"^ +score +deprecated since 2026-11-29: use the pipe also_bought_by_score",
        r"^ +item_id +Array\(String\) +required +the product",
        r"^ +baskets +Int64 +co_baskets\.baskets, item_companions\.companions",
        r"^ +co_baskets +baskets, item_key, month, other_item_key, weight",
        r"^ +companions\.sql +companions_of, since_reference",
        r"^ +cached +300 s, or until a purchase has the same item_id",
        r"^ +fallback +trending",
        r"^ +cases +0",
    ):
        assert re.search(line, shown, re.MULTILINE), line
    facts = json.loads(author("pipe", "show", "also_bought", "--json").out)
    assert facts["columns"][2] == {
        "name": "title",
        "type": "String",
        "fed_by": ["catalogue.title", "co_baskets.other_item_key", "item_companions.companions", "titles.title"],
    }
    assert "{category:String}" in author("pipe", "show", "also_bought", "--sql").out
    assert_error(author("pipe", "show", "nope"), "no pipe called 'nope'")


def test_rows_are_printed_in_the_requested_format(run: Run) -> None:
    command = ("pipe", "run", "also_bought", "item_id=tea")
    (row,) = json.loads(run(*command).out)
    assert row["baskets"] == 300
    assert json.loads(run(*command, "--format", "ndjson").out) == row
    (from_csv,) = csv.DictReader(io.StringIO(run(*command, "--format", "csv").out))
    assert from_csv == {name: str(value) for name, value in row.items()}
    table = run(*command, "--format", "table").out.splitlines()
    assert re.fullmatch(
        r"item_id +other_item_id +title +category +price +currency +url +image +baskets +score +reason +source *",
        table[0],
    )
    assert re.search(r"^tea +mug +0 +300 +[\d.]+ +bought together in 300 baskets +also_bought *$", table[1])
    assert re.fullmatch(r"1 row; [\d.]+ ms, [\d,]+ rows and [\d,]+ (bytes|kB|MB) read", table[2])
    filled = run("pipe", "run", "also_bought", "item_id=vase", "--format", "table").out
    assert filled.endswith("also_bought had no rows for any key; trending filled in.\n")


def test_a_table_ends_with_the_command_for_its_next_page(run: Run) -> None:
    first = run("pipe", "run", "all_items", "limit=1", "--format", "table").out.splitlines()
    assert first[-1].startswith("Next page: alsobought pipe run all_items limit=1 cursor=")
    cursor = first[-1].split()[-1]
    last = run("pipe", "run", "all_items", "limit=1", cursor, "--format", "table").out
    assert {first[1].split()[0], last.splitlines()[1].split()[0]} == {"tea", "mug"}
    assert "Next page" not in last
    assert_error(run("pipe", "run", "all_items", "limit=1", "cursor=x"), "cursor: 'x' is not a cursor")


@pytest.mark.thorough
def test_the_cost_of_a_request_is_explained(run: Run, home: Path) -> None:
    explained = run("pipe", "explain", "also_bought", "item_id=tea").out
    assert re.search(r"^item_companions +searched by item_key", explained, re.M)
    explained = run("pipe", "explain", "also_bought", "item_id=tea", "category=Tea").out
    assert re.search(r"^co_baskets +[\d,]+ of [\d,]+ +\d+ of \d+ +\d+ of \d+ +searched by item_key", explained, re.M)
    (home / "pipes" / "whole.sql").write_text(
        "-- Everything.\nselect item_id as id, count() as times from events where quantity > 0\n"
        "group by id order by times desc, id limit 10\n"
    )
    explained = run("pipe", "explain", "whole").out
    assert re.search(r"^events +600 of 600 +1 of 1 +1 of 1 +full scan", explained, re.MULTILINE)
    assert "full scan of events: no condition uses its sorting key (sql/schema/events.sql" in explained
    facts = json.loads(run("pipe", "explain", "whole", "--json").out)
    (home / "pipes" / "whole.sql").write_text(
        "-- Twice.\nselect a.item_id as id from events a join events b on a.user_id = b.user_id\n"
        "where b.quantity > 1 order by id limit 10\n"
    )
    twice = json.loads(run("pipe", "explain", "whole", "--json").out)["tables"]
    (home / "pipes" / "whole.sql").unlink()
    assert {(read["table"], read["rows"], read["granules"]["of"]) for read in twice} == {("events", None, 1)}
    assert facts["tables"][0]["rows"] == {"read": 600, "of": 600}
    assert facts["statistics"]["rows_read"] == 600
    assert_error(run("pipe", "explain", "also_bought"), "item_id: missing")


def test_a_failing_case_is_shown_as_two_tables_and_its_answer_can_be_updated(
    author: Callable[..., CompletedRun], home: Path
) -> None:
    cases = home / "tests" / "pipes" / "also_bought.yaml"
    cases.write_text(
        "# On top.\n"
        "- it: counts baskets\n"
        "  given:\n"
        "    - {event_type: purchase, order_id: o1, item_id: tea}  # paid\n"
        "    - {event_type: purchase, order_id: o1, item_id: mug}\n"
        "  ask: {item_id: tea}\n"
        "  answer: [{other_item_id: mug, baskets: 7}]\n"
        "- {it: 'knows nothing, and trending neither', ask: {item_id: tea}, answer: [{other_item_id: pot}]}\n"
        "- {it: is refused, ask: {}, error: too_slow}\n"
    )
    before = cases.read_text()
    ran = author("pipe", "test", "also_bought")
    assert ran.status == 1
    assert "   row 1: baskets is 1, not 7\n" in ran.out
    assert re.search(r"^ +other_item_id +baskets +other_item_id +baskets *\n +mug +7 +mug +1 *$", ran.out, re.MULTILINE)
    first, _, third = json.loads(author("pipe", "test", "also_bought", "--json").out)
    assert (first["pipe"], first["it"], first["ok"]) == ("also_bought", "counts baskets", False)
    assert (first["problem"], first["expected"][0]["baskets"], first["got"][0]["baskets"]) == (
        "row 1: baskets is 1, not 7",
        7,
        1,
    )
    assert third["problem"].startswith("error bad_parameters")
    assert {"milliseconds"} < set(third)

    ran = author("pipe", "test", "also_bought", "--update")
    assert ran.status == 1  # errors are not updated
    assert "EMPTY NOW: also_bought knows nothing, and trending neither\n" in ran.out
    assert "not updated: also_bought is refused" in ran.out
    assert cases.read_text() == before.replace("baskets: 7", "baskets: 1").replace("[{other_item_id: pot}]", "[]")
    cases.unlink()


def test_a_pipe_without_a_header_is_listed_with_its_fault(author: Callable[..., CompletedRun], home: Path) -> None:
    (home / "pipes" / "broken.sql").write_text("select item_id from items order by item_id limit 1\n")
    listed = {row["pipe"]: row for row in json.loads(author("pipe", "ls", "--json").out)}
    (home / "pipes" / "broken.sql").unlink()
    assert "the first line must be a comment" in listed["broken"]["fault"]
    assert (listed["also_bought"]["fault"], listed["also_bought"]["parameters"][0]) == ("", "item_id")
