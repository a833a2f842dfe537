"""README and docs/ are true: links lead somewhere, commands exist, tables are those of the code, examples work."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import msgspec
import pytest

from alsobought import errors
from alsobought.authoring.case_files import read_cases
from alsobought.authoring.pipe_tests import case_runner
from alsobought.cli.main import main
from alsobought.service.service import open_service
from alsobought.settings import Settings
from alsobought.web.factory import create_app
from docs.generate import commands, stale
from tests.support.process import running, write
from tests.support.project import ROOT, project_folder

DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
SIZE = (DOCS / "how-to" / "size.md").read_text()
COUNT_TABLE = (DOCS / "tutorials" / "own-count-table.md").read_text()


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


# Form


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


@cache
def anchors(path: Path) -> frozenset[str]:
    """The anchors that headings get."""
    headings = re.findall(r"^#+ (.*)$", prose(path.read_text()), re.M)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return frozenset(re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page.read_text()))):
        path, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_leads_to_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in re.findall(r"\]\(([^)\s]+)\)", index)}
    decisions = (DOCS / "adr" / "README.md").read_text()
    linked |= {(DOCS / "adr" / link).resolve() for link in re.findall(r"\]\(([^)\s]+)\)", decisions)}
    assert {path for path in DOCS.rglob("*.md") if path != DOCS / "README.md"} <= linked


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_promises_an_installation_from_an_index(page: Path) -> None:
    for asked in re.findall(r"pip3? install ([^`\n]*)", page.read_text()):
        for word in shlex.split(asked, comments=True):
            assert not re.match(r"alsobought($|[\[=<>~])", word), asked


# Generated and compared


def test_the_reference_pages_are_those_of_the_code() -> None:
    assert [name_of(path) for path in stale()] == [], "run `make docs`"


def test_every_error_is_documented_with_its_status() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AlsoboughtError)
    ]
    not_for_callers = {"pipe_fault", "migration_fault", "unusable"}
    page = (DOCS / "reference" / "errors.md").read_text()
    table = page.partition("<!-- errors:")[2].partition("<!-- /errors -->")[0]
    listed = {
        (code, int(status))
        for codes, statuses in re.findall(r"^\| (`.*?`) \| ([\d, ]+) \|", table, re.M)
        for code in re.findall(r"`(\w+)`", codes)
        for status in statuses.split(", ")
    }
    assert {(kind.code, kind.status) for kind in kinds if kind.code not in not_for_callers} <= listed


def test_the_readme_counts_the_pipes() -> None:
    assert f"[{len(list((ROOT / 'pipes').glob('*.sql')))} pipes](" in README
    named = {
        name
        for row in re.findall(r"^\| (`\w+`.*?) \|", README.partition("## What can be asked")[2], re.M)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert named
    assert named <= {path.stem for path in (ROOT / "pipes").glob("*.sql")}


def test_the_list_of_standard_pipes_has_every_pipe() -> None:
    table = (DOCS / "reference" / "standard-pipes.md").read_text().partition("## All of them")[0]
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`\w+`.*?) \|", table, re.M))))
    assert listed == {path.stem for path in (ROOT / "pipes").glob("*.sql")}


# Commands


def commands_in(text: str) -> Iterator[list[str]]:
    """The words behind `alsobought` of each command in a block of code, without settings, redirections and comments."""
    for block in re.findall(r"^ *```console\n(.*?)```", text, re.S | re.M):
        for line in re.findall(r"^ *\$ (.*)", re.sub(r"\\\n *", "", block), re.M):
            for part in re.split(r"&&|\||>", re.sub(r"\s#.*", "", line)):
                words = shlex.split(part) if part.count("'") % 2 == part.count('"') % 2 == 0 else part.split()
                if "alsobought" in words and words[0] not in ("git", "docker"):
                    yield words[words.index("alsobought") + 1 :]


def parsed(words: list[str]) -> None:
    """Raises click.UsageError for a command or an option that does not exist."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, words
        command, words = command.commands[words[0]], words[1:]
    command.make_parser(click.Context(command)).parse_args(list(words))


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "benchmarks"], ids=name_of)
def test_every_command_exists_with_its_options(page: Path) -> None:
    for words in commands_in(page.read_text()):
        parsed(words)


def test_every_command_is_on_the_page_of_commands_with_an_example() -> None:
    page = (DOCS / "reference" / "cli.md").read_text()
    for name, _ in commands():
        section = re.split(r"^## ", page.partition(f"\n## {name}\n")[2], maxsplit=1, flags=re.M)[0]
        assert any(name == " ".join(["alsobought", *words])[: len(name)] for words in commands_in(section)), name


def test_every_command_named_in_a_sentence_exists() -> None:
    for page in PAGES:
        for text in re.findall(r"`alsobought ([a-z][\w -]*)", prose(page.read_text())):
            command: click.Command = main
            for word in text.split():
                if not isinstance(command, click.Group) or word.startswith("-"):
                    break
                assert word in command.commands, (page, text)
                command = command.commands[word]


# Examples


def block_of(text: str, language: str, holding: str = "") -> str:
    """The first block of this language that holds this text."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", text, re.S)
    return next(block for block in blocks if holding in block)


def test_the_pipe_of_the_readme_passes_the_case_of_the_readme(tmp_path: Path) -> None:
    project_folder(tmp_path)
    (tmp_path / "pipes" / "loved.sql").write_text(block_of(README, "sql"))
    (tmp_path / "loved.yaml").write_text(block_of(README, "yaml"))
    with case_runner(msgspec.structs.replace(Settings(), home=str(tmp_path))) as runner:
        assert [runner.run("loved", case) for case in read_cases(tmp_path / "loved.yaml")] == [""]


@pytest.mark.thorough
@pytest.mark.journey
def test_the_count_table_of_the_tutorial_is_made_counts_and_is_checked(tmp_path: Path) -> None:
    """The tutorial's own files, in a copy of the project and a data folder of its own, on other events."""
    home, orders = tmp_path / "home", tmp_path / "orders.ndjson"
    project_folder(home, "pipes", "sql", "migrations", "tests/pipes")
    line = {"event_type": "purchase", "user_id": "ada", "item_id": "tea", "quantity": 3, "price": 2.5}
    largest = line | {"item_id": "jet", "quantity": 2**31 - 1, "price": 1e12}
    write(orders, line, line | {"item_id": "mug"}, line, largest)
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", COUNT_TABLE, re.S)[1:]  # behind its own orders
    (load,) = (words for words in commands_in(COUNT_TABLE) if words[0] == "load")
    (new,) = (words for words in commands_in(COUNT_TABLE) if words[:2] == ["migrate", "new"])
    proving = list(commands_in(COUNT_TABLE.partition("## 4. ")[2]))
    run = running(tmp_path / "data").at(home)
    assert run(*(str(orders) if word == orders.name else word for word in load)).status == 0
    made = [str(Path(path).relative_to(home)) for path in run(*new).out.splitlines()]
    assert [re.sub(r"\d{4}", "NNNN", path) for path in made] == [path for path, _ in files[:3]]
    for place, (path, text) in enumerate(files):
        (home / (made[place] if place < len(made) else path)).write_text(text)

    sqlfmt = [sys.executable, "-m", "sqlfmt", "--check", "--config", str(ROOT / "pyproject.toml")]
    subprocess.run([*sqlfmt, home / "pipes"], check=True, capture_output=True)

    said = {}
    for words in proving:
        asked = [word for word in words if word not in ("--format", "csv")]
        ran = run(*asked)
        assert ran.status == 0, ran
        said[" ".join(words[:2])] = ran.out
    assert said["pipe check"] == "ok best_sellers\n"
    assert said["pipe test"].endswith("1 passed, 0 failed\n")
    assert [(row["item_id"], row["units"], row["revenue"]) for row in msgspec.json.decode(said["pipe run"])] == [
        ("jet", 2**31 - 1, (2**31 - 1) * 10**12),
        ("tea", 6, 15.0),
        ("mug", 3, 7.5),
    ]
    assert "4 events are older; `alsobought rebuild item_sales` counts them" in said["migrate up"]
    assert re.search(r"^ok +item_sales +3 rows$", said["check --table"], re.M)
    assert run("check").status == 0

    run.python(
        """
        from alsobought.settings import from_environment
        from alsobought.storage.clickhouse import open_warehouse
        warehouse = open_warehouse(from_environment())
        warehouse.command("insert into alsobought.item_sales values ('tea', today(), 1, 1, 1)")
        warehouse.close()
        """
    )
    assert re.search(r"^wrong +item_sales +3 rows, 1 of them wrong$", run("check").out, re.M)
    assert run("rebuild", "item_sales").out.startswith("item_sales: rebuilt from 4 events")
    assert run("check").status == 0


def test_the_pipe_that_reads_requests_answers(tmp_path: Path) -> None:
    project_folder(tmp_path)
    page = (DOCS / "how-to" / "operate.md").read_text()
    (tmp_path / "pipes" / "asked.sql").write_text(block_of(page, "sql", "from requests"))
    settings = Settings(home=str(tmp_path), dsn="chdb://:memory:", database="readme")
    shop = open_service(settings)
    try:
        client = create_app(shop).test_client()
        for path in ("trending", "trending", "also_bought?item_id=tea"):
            assert client.get(f"/pipes/{path}").status_code == 200
        assert shop.request_log
        shop.request_log.flush()
        rows = json.loads(client.get("/pipes/asked").text)["data"]
        assert [(row["name"], row["requests"], row["from_fallback"]) for row in rows] == [
            ("also_bought", 1, 0),
            ("trending", 2, 0),
        ]
        assert all(0 < row["p99_seconds"] < 10 for row in rows)
    finally:
        shop.close()


def test_the_numbers_of_the_page_on_size_are_those_of_its_benchmarks() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| \[\w+\]\(../../(benchmarks/\w+\.md)\) \|$", SIZE, re.M)
    assert len(rows) > 10
    for what, measured, page in rows:
        text = (ROOT / page).read_text().replace(",", "")
        for number in re.findall(r"\d{3,}", measured.replace(",", "")):
            assert re.search(rf"(?<!\d){number}(?!\d)", text), f"{what}: {number} is not in {page}"


def test_every_threat_names_a_test_that_exists() -> None:
    rows = re.findall(r"(?m)^\| (.+?) \| .+ \| `(tests/[^`]+)` \|$", (ROOT / "SECURITY.md").read_text("utf-8"))
    assert len(rows) >= 20
    for threat, shown_by in rows:
        path, _, name = shown_by.partition("::")
        assert (ROOT / path).exists(), f"{threat}: {path}"
        assert not name or f"def {name}(" in (ROOT / path).read_text("utf-8"), f"{threat}: {name}"
