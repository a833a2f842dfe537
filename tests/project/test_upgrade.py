"""`alsobought init` and `alsobought upgrade`: a project is made, and gets what is newer without losing what the shop changed.

An older project is made of a new one: what its manifest does not name is new, what it notes with another hash is newer.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import signal
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from alsobought.cli.main import main
from alsobought.diagnostics.host_checks import check_home
from alsobought.errors import Unusable
from alsobought.project.manifest import FILE, Manifest, read_manifest, write_manifest
from alsobought.project.package_files import own_project, package_files
from alsobought.project.patterns import project_files
from alsobought.project.upgrade import difference, planned, started, upgrade
from alsobought.settings import Settings
from tests.support.process import Run, assert_error, running
from tests.support.project import ROOT, project_folder

OLD = "-- An older text.\nselect 1\n"
NEWEST = sorted((ROOT / "migrations").glob("*.sql"))[-1]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A new project."""
    folder = tmp_path / "myshop"
    assert len(list(upgrade(started(folder)))) == len(package_files())
    return folder


@pytest.fixture
def run(shop: Path) -> Run:
    """Commands in it."""
    return running(shop / "data")


def noted(shop: Path) -> Manifest:
    found = read_manifest(shop)
    assert found
    return found


def make_older(shop: Path, *names: str) -> None:
    """As if an older package had brought these files with another text."""
    manifest = noted(shop)
    for name in names:
        (shop / name).write_text(OLD)
        manifest.files[name] = hashlib.sha256(OLD.encode()).hexdigest()
    manifest.version = "0.1.0"
    write_manifest(shop, manifest)


def take_out(shop: Path, *names: str) -> None:
    """As if an older package had not had these files."""
    manifest = noted(shop)
    for name in names:
        (shop / name).unlink()
        del manifest.files[name]
    manifest.version = "0.1.0"
    write_manifest(shop, manifest)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# init


def test_a_new_project_has_every_file_of_the_package_and_no_other(shop: Path) -> None:
    made = contents(shop)
    assert set(made) == {*package_files(), FILE}
    assert {"README.md", ".gitignore"} < set(made)
    for name in project_files(ROOT):
        assert made[name] == (ROOT / name).read_bytes()
    assert noted(shop) == Manifest(
        version("alsobought"), complete=True, files={n: hashlib.sha256(made[n]).hexdigest() for n in package_files()}
    )
    assert not planned(shop).writes


def test_a_project_has_the_cases_and_not_the_tests_of_python() -> None:
    names = project_files(ROOT)
    assert {"tests/pipes/also_bought.yaml", "tests/pipes/fixtures/letters.yaml", "sql/server/users.xml"} < set(names)
    assert not [name for name in names if name.endswith(".py") or "/." in name]


def test_init_says_what_to_do_next(tmp_path: Path) -> None:
    ran = running(tmp_path / "data")("init", "myshop")
    assert (ran.status, ran.err) == (0, "")
    assert "cd myshop" in ran.out
    assert "alsobought serve" in ran.out
    assert (tmp_path / "myshop" / "pipes").is_dir()


def test_init_refuses_a_folder_with_files_and_a_project(tmp_path: Path, shop: Path) -> None:
    run = running(tmp_path / "data")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    assert_error(run("init", "full"), "full is not empty: it holds letter.txt", "new folder")
    assert_error(run("init", shop), "is a project already", "alsobought upgrade")
    (tmp_path / "fresh" / ".git").mkdir(parents=True)
    assert run("init", "fresh").status == 0


def test_an_init_that_was_killed_is_finished_by_the_next(tmp_path: Path, shop: Path) -> None:
    run, folder = running(tmp_path / "data"), tmp_path / "killed"
    assert run("init", folder, ALSOBOUGHT_FAILPOINT="upgrade.file:40").status == -signal.SIGKILL
    assert 0 < len(contents(folder)) < len(contents(shop))
    assert run("init", folder).status == 0
    assert contents(folder) == contents(shop)


def test_every_command_of_the_starter_readme_exists() -> None:
    text = package_files()["README.md"].read_text()
    lines = re.findall(r"^\$ (alsobought .*)$", text, re.M) + re.findall(r"`(alsobought [^`]+)`", text)
    asked = [shlex.split(line, comments=True)[1:] for line in lines]
    assert ["upgrade", "--dry-run"] in asked
    for words in asked:
        command: click.Command = main
        for word in words:
            if not isinstance(command, click.Group) or word.startswith("-"):
                break
            command = command.commands[word]


# upgrade


def test_new_files_come_and_untouched_ones_are_replaced(shop: Path, run: Run) -> None:
    wanted = contents(shop)
    take_out(shop, "pipes/swing.sql", "tests/pipes/swing.yaml")
    make_older(shop, "pipes/trending.sql", "sql/macros/scores.sql")
    before = contents(shop)
    tried = run("upgrade", "--dry-run")
    assert "would add pipes/swing.sql" in tried.out
    assert "would update pipes/trending.sql" in tried.out
    assert tried.out.endswith(
        f"4 files to add or update, from 0.1.0 to {version('alsobought')}. Nothing was changed.\n"
    )
    assert contents(shop) == before
    ran = run("upgrade")
    assert (ran.status, ran.err) == (0, "")
    assert "added pipes/swing.sql" in ran.out
    assert "updated sql/macros/scores.sql" in ran.out
    assert "alsobought pipe test" in ran.out
    assert contents(shop) == wanted
    assert run("upgrade").out == f"Nothing to do: the project is up to date with {version('alsobought')}.\n"


def test_what_the_shop_changed_stays_and_is_shown(shop: Path, run: Run) -> None:
    make_older(shop, "pipes/trending.sql", "sql/rules.csv", "pipes/popular.sql")
    ours = "-- Our own.\n" + (ROOT / "pipes" / "trending.sql").read_text()
    (shop / "pipes" / "trending.sql").write_text(ours)
    (shop / "sql" / "rules.csv").write_text("ours\n")
    also_bought = shop / "pipes" / "also_bought.sql"
    also_bought.write_text(also_bought.read_text() + "-- ours\n")
    ran = run("upgrade")
    assert ran.status == 0
    assert "updated pipes/popular.sql" in ran.out
    assert re.search(r"^kept pipes/trending.sql: .*, which is newer$", ran.out, re.M)
    assert re.search(r"^    \+-- Our own\.$", ran.out, re.M)
    copy = f"cp {package_files()['pipes/trending.sql']} pipes/trending.sql"
    assert copy in ran.out
    assert re.search(r"^kept sql/rules.csv: ", ran.out, re.M)
    assert re.search(
        r"^kept pipes/also_bought.sql: yours has \+1 -0 lines against the package's, which has not changed$",
        ran.out,
        re.M,
    )
    assert (shop / "pipes" / "trending.sql").read_text() == ours
    assert (shop / "sql" / "rules.csv").read_text() == "ours\n"
    again = run("upgrade")
    assert "Nothing to do" in again.out
    assert re.search(r"^kept pipes/trending.sql: .*, which has not changed$", again.out, re.M)


def test_a_file_of_the_shop_with_the_name_of_a_new_one_stays(shop: Path) -> None:
    take_out(shop, "pipes/swing.sql")
    (shop / "pipes" / "swing.sql").write_text("-- Ours.\nselect 3\n")
    plan = planned(shop)
    (step,) = plan.of("yours")
    assert (step.path, step.newer) == ("pipes/swing.sql", True)
    assert "+-- Ours." in difference(plan, step)
    list(upgrade(plan))
    assert (shop / "pipes" / "swing.sql").read_text() == "-- Ours.\nselect 3\n"


def test_what_the_shop_deleted_does_not_come_back(shop: Path) -> None:
    (shop / "pipes" / "swing.sql").unlink()
    assert [step.path for step in planned(shop).of("deleted")] == ["pipes/swing.sql"]
    for _ in range(2):
        assert not list(upgrade(planned(shop)))
    assert not (shop / "pipes" / "swing.sql").exists()


def test_what_the_package_no_longer_has_is_named_until_it_is_gone(shop: Path, run: Run) -> None:
    (shop / "pipes" / "former.sql").write_text(OLD)
    make_older(shop, "pipes/former.sql")
    for _ in range(2):
        assert "obsolete pipes/former.sql" in run("upgrade").out
    (shop / "pipes" / "former.sql").write_text("-- Ours now.\n")
    assert "former" not in run("upgrade").out
    assert (shop / "pipes" / "former.sql").exists()


@pytest.mark.parametrize("after", [1, 2, 5])
def test_an_upgrade_that_was_killed_is_finished_by_the_next(shop: Path, run: Run, after: int) -> None:
    wanted = contents(shop)
    take_out(shop, "pipes/swing.sql", f"migrations/{NEWEST.name}")
    make_older(shop, "pipes/trending.sql", "sql/macros/scores.sql", "tests/pipes/popular.yaml")
    assert run("upgrade", ALSOBOUGHT_FAILPOINT=f"upgrade.file:{after}").status == -signal.SIGKILL
    assert noted(shop).version == "0.1.0"
    assert run("upgrade").status == 0
    assert contents(shop) == wanted


def test_a_project_made_by_hand_is_taken_over(tmp_path: Path) -> None:
    folder = project_folder(tmp_path / "copied")
    (folder / "pipes" / "trending.sql").write_text("-- Ours.\nselect 2\n")
    (folder / "pipes" / "swing.sql").unlink()
    plan = planned(folder)
    assert [step.path for step in plan.of("yours")] == ["pipes/trending.sql"]
    assert "pipes/swing.sql" in [step.path for step in plan.writes]
    list(upgrade(plan))
    assert (folder / "pipes" / "trending.sql").read_text() == "-- Ours.\nselect 2\n"
    assert noted(folder).complete


def test_upgrade_refuses_what_is_no_project_the_checkout_and_an_older_package(tmp_path: Path, shop: Path) -> None:
    run = running(tmp_path / "data")
    assert_error(run.at(tmp_path)("upgrade"), "is not a project", "alsobought init")
    assert_error(run.at(ROOT)("upgrade"), "is a checkout", "git pull")
    manifest = noted(shop)
    manifest.version = "99.1"
    write_manifest(shop, manifest)
    assert_error(
        run.at(shop)("upgrade"), "the project has version 99.1, this package only", "Install Alsobought 99.1 or newer"
    )
    (shop / FILE).write_text("{")
    assert_error(run.at(shop)("upgrade"), f"{FILE} cannot be read", "git checkout")


# Migrations


def test_a_new_migration_comes_behind_those_of_the_shop(shop: Path, run: Run) -> None:
    take_out(shop, f"migrations/{NEWEST.name}")
    own = run("migrate", "new", "colours")
    file = Path(own.out.strip())
    assert file.name[:4] == NEWEST.name[:4]
    file.write_text("-- What colours items have.\nalter table {{ database }}.items add column colour String\n")
    moved = f"migrations/{int(NEWEST.name[:4]) + 1:04}{NEWEST.name[4:]}"
    assert run("migrate", "up").status == 0
    assert run("upgrade", ALSOBOUGHT_FAILPOINT="upgrade.file").status == -signal.SIGKILL
    ran = run("upgrade")
    assert ran.status == 0
    assert (shop / moved).read_bytes() == NEWEST.read_bytes()
    assert not (shop / "migrations" / NEWEST.name).exists()
    assert noted(shop).renumbered == {f"migrations/{NEWEST.name}": moved}
    assert run("migrate", "up").out.splitlines() == [f"applied {Path(moved).stem}", "1 applied"]
    assert not planned(shop).writes
    make_older(shop, "pipes/trending.sql")
    assert [step.path for step in planned(shop).writes] == ["pipes/trending.sql"]


def test_a_table_of_the_shop_with_the_name_of_a_new_one_is_told_before_anything_is_written(
    shop: Path, run: Run
) -> None:
    view = NEWEST.stem[5:]
    take_out(shop, f"migrations/{NEWEST.name}", "pipes/swing.sql")
    (shop / "migrations" / f"{NEWEST.name[:4]}_ours.sql").write_text(
        f"-- Ours.\ncreate table {{{{ database }}}}.{view} (x UInt8) engine = MergeTree order by x\n"
    )
    assert_error(run("upgrade"), f"creates {view}", "_ours does")
    assert not (shop / "pipes" / "swing.sql").exists()


def test_an_applied_migration_that_differs_is_an_error(shop: Path, run: Run) -> None:
    name = "migrations/0046_user_days.sql"
    take_out(shop, "pipes/swing.sql")
    text = (shop / name).read_text()
    (shop / name).write_text(text.replace("--", "-- Ours:", 1))
    assert run("upgrade", "--dry-run").status == 0  # no database has it
    (shop / name).write_text(text)
    assert run("migrate", "up").status == 0
    (shop / name).write_text(text.replace("--", "-- Ours:", 1))
    for words in (["upgrade"], ["upgrade", "--dry-run"]):
        assert_error(run(*words), f"{name} is applied, and differs from the package's", "diff ")
    make_older(shop, name)
    assert_error(run("upgrade"), f"{name} is applied")
    assert not (shop / "pipes" / "swing.sql").exists()


# Around it


def test_the_doctor_reports_that_a_project_is_older_than_the_package(shop: Path) -> None:
    settings = Settings(home=str(shop))
    _, finding = check_home(settings)
    assert (finding.check, finding.state, finding.advice) == ("project", "ok", "")
    take_out(shop, "tests/pipes/swing.yaml")
    _, finding = check_home(settings)
    assert (finding.check, finding.state) == ("project", "warning")
    assert finding.message == f"made with 0.1.0; the package, {version('alsobought')}, has 1 newer file"
    assert "alsobought upgrade" in finding.advice


def test_nobody_writes_into_the_installed_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed = project_folder(tmp_path / "alsobought" / "project" / "files")
    monkeypatch.setattr("alsobought.project.package_files.packaged_home", lambda: installed)
    with pytest.raises(Unusable, match="alsobought init"):
        own_project(Settings(home=str(installed)))
    assert own_project(Settings(home=str(tmp_path))) == tmp_path
