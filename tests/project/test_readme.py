"""The README tells the truth: its settings, its pipe, its case and its error codes are the project's own."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import msgspec

from alsobought import errors
from alsobought.authoring.case_files import read_cases
from alsobought.authoring.pipe_tests import case_runner
from alsobought.cli.main import main
from alsobought.service.service import open_service
from alsobought.settings import PREFIX, Settings, descriptions
from alsobought.web.factory import create_app
from tests.support.process import running, write
from tests.support.project import ROOT, project_folder

README = (ROOT / "README.md").read_text()


def settings_table() -> str:
    """The table between the two marks."""
    defaults = Settings()
    lines = ["| variable | default | |", "|---|---|---|"]
    for name, sentence in descriptions().items():
        value = getattr(defaults, name)
        default = "" if name == "home" else str(value).lower() if isinstance(value, bool) else str(value)
        lines.append(f"| `{PREFIX}{name.upper()}` | {f'`{default}`' if default else ''} | {sentence} |")
    return "\n".join(lines)


def test_the_settings_table_is_made_from_the_settings() -> None:
    found = re.search(r"<!-- settings:.*?-->\n(.*?)\n?<!-- /settings -->", README, re.S)
    assert found
    assert found[1] == settings_table()


def test_every_error_code_is_documented() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AlsoboughtError)
    ]
    not_for_callers = {"pipe_fault", "migration_fault", "unusable"}
    for code in {kind.code for kind in kinds} - not_for_callers:
        assert f"`{code}`" in README


def test_the_pipe_of_the_readme_passes_the_case_of_the_readme(tmp_path: Path) -> None:
    project_folder(tmp_path)
    (tmp_path / "pipes" / "loved.sql").write_text(_block("sql"))
    (tmp_path / "loved.yaml").write_text(_block("yaml"))
    with case_runner(msgspec.structs.replace(Settings(), home=str(tmp_path))) as runner:
        assert [runner.run("loved", case) for case in read_cases(tmp_path / "loved.yaml")] == [""]


def test_the_count_table_of_the_readme_is_made_counts_and_is_checked(tmp_path: Path) -> None:
    """The section's own commands and files, in a copy of the project and a data folder of its own."""
    home, orders = tmp_path / "home", tmp_path / "orders.ndjson"
    project_folder(home, "pipes", "sql", "migrations", "tests/pipes")
    line = {"event_type": "purchase", "user_id": "ada", "item_id": "tea", "quantity": 3, "price": 2.5}
    largest = line | {"item_id": "jet", "quantity": 2**31 - 1, "price": 1e12}
    write(orders, line, line | {"item_id": "mug"}, line, largest)
    section = re.split(r"^## ", README.partition("## Your own count table\n")[2], maxsplit=1, flags=re.M)[0]
    preparing, proving = (_commands(block) for block in re.findall(r"```console\n(.*?)```", section, re.S))
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", section, re.S)
    run = running(tmp_path / "data").at(home)
    load, new = [
        [str(orders) if w == orders.name else w for w in words[1:]] for words in preparing if "alsobought" in words
    ]
    assert run(*load).status == 0
    made = [str(Path(path).relative_to(home)) for path in run(*new).out.splitlines()]
    assert [re.sub(r"\d{4}", "NNNN", path) for path in made] == [path for path, _ in files[:3]]
    for place, (path, text) in enumerate(files):
        (home / (made[place] if place < len(made) else path)).write_text(text)

    sqlfmt = [sys.executable, "-m", "sqlfmt", "--check", "--config", str(ROOT / "pyproject.toml")]
    subprocess.run([*sqlfmt, home / "pipes"], check=True, capture_output=True)

    said = {}
    for words in proving:
        ran = run(*words[1:])
        assert (words[0], ran.status) == ("alsobought", 0), ran
        said[" ".join(words[1:3])] = ran.out
    assert said["pipe check"] == "ok best_sellers\n"
    assert said["pipe test"].endswith("1 passed, 0 failed\n")
    assert [(row["item_id"], row["units"], row["revenue"]) for row in msgspec.json.decode(said["pipe run"])] == [
        ("jet", 2**31 - 1, (2**31 - 1) * 10**12),
        ("tea", 6, 15.0),
        ("mug", 3, 7.5),
    ]
    assert "4 events are older; `alsobought rebuild item_sales` counts them" in said["migrate up"]
    assert re.search(r"^ok +item_sales +3 rows$", said["check"], re.M)

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


def _commands(block: str) -> list[list[str]]:
    """`$ alsobought check    # why` as its words."""
    return [shlex.split(line[2:], comments=True) for line in block.splitlines() if line.startswith("$ ")]


def test_every_command_of_the_readme_exists() -> None:
    blocks = "".join(re.findall(r"```console\n(.*?)```", README, re.S))
    asked = [words for words in _commands(blocks) if "alsobought" in words]
    assert asked
    for words in asked:
        command: click.Command = main
        for word in words[words.index("alsobought") + 1 :]:
            if not isinstance(command, click.Group):
                break
            command = command.commands[word]
    (listed,) = re.findall(r"`(alsobought demo \|[^`]*)`", README)
    for group in listed.removeprefix("alsobought ").split("|"):
        command = main
        for word in group.split():
            assert isinstance(command, click.Group)
            command = command.commands[word]


def test_the_pipe_of_the_readme_that_reads_requests_answers(tmp_path: Path) -> None:
    project_folder(tmp_path)
    (tmp_path / "pipes" / "asked.sql").write_text(_block("sql", "from requests"))
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


def _block(language: str, holding: str = "") -> str:
    """The first block of this language that holds this text."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.S)
    return next(block for block in blocks if holding in block)
