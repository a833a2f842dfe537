"""`alsobought pipe diff` beside a running service, in a project folder of a git repository."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from rich.console import Console

from alsobought import console
from alsobought.cli.main import main
from alsobought.service.ipc_client import reach_warehouse
from alsobought.settings import read_settings
from tests.support.process import Run, assert_error, running, serving
from tests.support.project import ROOT, project_folder

ORDERS = {"mug": 3, "pot": 2, "cup": 1}  # how often each was bought with the tea
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
Diff = Callable[..., Result]


def git(home: Path, *arguments: str) -> None:
    subprocess.run([*GIT, "-C", home, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in a folder of a repository, committed."""
    repository = tmp_path_factory.mktemp("repository")
    project_folder(repository / "shop")
    git(repository, "init")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "the shop")
    return repository / "shop"


@pytest.fixture(scope="module")
def served(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A running service with recorded requests: three for tea, one for tea with limit 2, one for ada."""
    run = running(tmp_path_factory.mktemp("served") / "data").at(home)
    with serving(run) as service:
        line = {"event_type": "purchase", "user_id": "ada"}
        orders = [
            line | {"order_id": f"{other}{n}", "item_id": item}
            for other, times in ORDERS.items()
            for n in range(times)
            for item in ("tea", other)
        ]
        assert service.ask("/events?wait=true", orders)[0] == 200
        for path in (*["also_bought?item_id=tea"] * 3, "also_bought?item_id=tea&limit=2", "for_you?user_id=ada"):
            assert service.ask(f"/pipes/{path}")[0] == 200
        _wait_until_recorded(run, 5)
        yield run


def _wait_until_recorded(run: Run, requests: int) -> None:
    settings, _ = read_settings(run.environment({}))
    warehouse = reach_warehouse(settings)
    deadline = time.monotonic() + 30
    while warehouse.value("select count() from alsobought.requests") < requests and time.monotonic() < deadline:
        time.sleep(0.1)
    warehouse.close()


@pytest.fixture
def diff(served: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Diff]:
    """The command in this process: the service has the engine. Restores the files afterwards."""
    for name, value in served.environment({}).items():
        if name.startswith("ALSOBOUGHT_"):
            monkeypatch.setenv(name, value)
    yield lambda *words: CliRunner().invoke(main, ["pipe", "diff", *map(str, words)], catch_exceptions=False)
    git(home, "checkout", ".")
    git(home, "clean", "-fd")


def change(home: Path, file: str, old: str, new: str) -> None:
    path = home / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def report(ran: Result) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(ran.stdout)
    return content


def test_an_unchanged_text_has_no_differences(diff: Diff) -> None:
    ran = diff("also_bought", "--json", "--min-overlap", "1", "--max-rows-read", "1", "--max-empty", "0")
    assert ran.exit_code == 0, ran.output
    found = report(ran)
    assert (found["requests"], found["asked"], found["lists"]["same"], found["missed"]) == (2, 4, 1, [])
    assert re.fullmatch(r"HEAD \([0-9a-f]{7,}\)", found["old"]["label"])
    assert "The text and the macros are the same on both sides." in diff("also_bought").stdout


def test_a_changed_order_is_shown_and_fails_by_its_threshold(diff: Diff, home: Path) -> None:
    change(home, "pipes/also_bought.sql", "order by item_id, position, fit desc", "order by item_id, position, fit")
    found = report(diff("also_bought", "--json"))
    assert found["missed"] == []
    assert [[item["item"] for item in found["examples"][0][side]] for side in ("old", "new")] == [
        ["mug", "pot", "cup"],
        ["cup", "pot", "mug"],
    ]
    ranked = (3 * (0.9 / 2 + 0.81) / 2.71 + 0.9 / 1.9) / 4  # three of four requests: three items reversed, one: two
    assert found["lists"]["rank_biased"] == pytest.approx(ranked)
    ran = diff("also_bought", "--min-overlap", "0.5")
    assert ran.exit_code == 1
    assert f"fails the mean overlap is {ranked:.3f}, under 0.5" in ran.stdout
    assert re.search(r"^same items, other order +100 % ", ran.stdout, re.M)
    assert re.search(r"^ +1 +mug +cup +↑2", ran.stdout, re.M)
    assert all(len(line) <= 80 for line in ran.stdout.splitlines())


@pytest.mark.thorough
def test_macros_and_fallbacks_come_from_the_same_side(diff: Diff, home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "old")
    change(
        home, "sql/macros/catalogue.sql", "dictGetOrDefault('catalogue', 'available', {{ item_key }}, true)", "1 = 0"
    )
    for base in ((), ("--base", "main"), ("--base-folder", tmp_path / "old")):
        found = report(diff("also_bought", "--json", *base, "--max-empty", "0.5"))
        assert (found["old"]["items"], found["new"]["items"], found["new"]["empty"]) == (3, 0, 1), (
            "trending is empty, too"
        )
        assert found["missed"] == ["100.0% of the answers are empty, over 50.0%"]
    change(home, "pipes/trending.sql", "limit {{ limit }}", "limit {{ limits }}")
    assert "The new fallback is broken and never answers: pipes/trending.sql:" in diff("also_bought").stdout


@pytest.mark.thorough
def test_columns_and_broken_texts_fail(diff: Diff, home: Path) -> None:
    change(home, "pipes/also_bought.sql", "times as baskets", "times as orders")
    ran = diff("also_bought")
    assert (ran.exit_code, "fails the column baskets was removed" in ran.stdout) == (1, True)
    assert diff("also_bought", "--allow-columns").exit_code == 0
    change(home, "pipes/also_bought.sql", "times as orders", "nonsense as orders")
    ran = diff("also_bought", "--markdown")
    assert ran.exit_code == 1
    first = r"\* \*\*fails\*\*: `new errors: 2, the first: pipes/also_bought.sql:\d+: there is no column nonsense"
    assert re.search(first, ran.stdout)


@pytest.mark.thorough
def test_saved_requests_identify_no_users(diff: Diff, tmp_path: Path) -> None:
    file = tmp_path / "requests.ndjson"
    ran = diff("also_bought", "--save", file)
    assert "2 saved in" in ran.stderr.replace("\n", " ")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"item_id": ["tea"], "@times": 3} in lines
    assert report(diff("also_bought", "--from", file, "--json"))["asked"] == 4
    file.unlink()
    ran = diff("for_you", "--save", file, "--json")
    assert "1 identify a user and are omitted" in ran.stderr.replace("\n", " ")
    assert not file.exists()
    assert diff("for_you", "--save", file, "--with-users").exit_code == 0
    assert json.loads(file.read_text().splitlines()[0])["user_id"] == ["ada"]


def test_an_impossible_comparison_is_one_sentence(diff: Diff, home: Path, tmp_path: Path, served: Run) -> None:
    (home / "pipes" / "fresh.sql").write_text((home / "pipes" / "trending.sql").read_text())
    for words, *parts in (
        (("also_bought", "--base", "nowhere"), "there is no git revision 'nowhere'"),
        (("also_bought", "--base", "--all"), "there is no git revision '--all'"),
        (("fresh",), "there is no pipe fresh in HEAD (", "There are active_users, all_items, also_bought", "cases"),
        (("also_bought", "--base-folder", tmp_path), f"there is no pipe also_bought in {tmp_path}"),
        (("recently_viewed",), "no request to recently_viewed is recorded", "--from"),
        (("also_bought", "--from", tmp_path / "no"), "cannot read ", ": No such file"),
        (("also_bought", "--save", tmp_path / "no" / "file"), "cannot write ", ": No such file"),
    ):
        ran = diff(*words)
        assert (ran.exit_code, ran.stdout) == (1, ""), words
        assert all(part in ran.stderr for part in ("alsobought: ", *parts)), ran.stderr
    for both in (("--base", "main", "--base-folder", tmp_path), ("--json", "--markdown")):
        assert diff("also_bought", *both).exit_code == 2
    outside = shutil.copytree(home, tmp_path / "outside")
    alone = served.at(outside)("pipe", "diff", "also_bought")
    assert_error(alone, f"{outside} is not in a git repository", "--base-folder")


def test_a_bar_appears_only_after_a_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []

    @contextmanager
    def bar(*_: object) -> Iterator[Callable[[int], None]]:
        yield steps.append

    monkeypatch.setattr(console, "progress_bar", bar)
    terminal = Console(force_terminal=True, file=io.StringIO())
    with console.late_bar(terminal, "Asking", 4, "requests") as advance:
        advance(1)
        advance(1)
        assert steps == []
        monkeypatch.setattr(console, "BAR_AFTER_SECONDS", -1)
        advance(1)
        advance(1)
    assert steps == [3, 1]


def test_the_workflow_of_the_guide_uses_existing_options() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "how-to" / "replay-a-change.md").read_text(), re.S)
    (job,) = yaml.safe_load(block)["jobs"].values()
    script = "\n".join(step.get("run", "") for step in job["steps"])
    command = main.commands["pipe"].commands["diff"]  # type: ignore[attr-defined]
    options = {name for parameter in command.params for name in parameter.opts}
    used = re.findall(r"alsobought pipe diff (.*?)(?:>>|\n\n|$)", script.replace("\\\n", ""), re.S)
    assert used
    assert set(re.findall(r"--[a-z-]+", "".join(used))) <= options
