"""pyproject.toml, the locks, the hooks and the release workflow agree with each other."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.support.project import ROOT

TEXT = (ROOT / "pyproject.toml").read_text()
PROJECT: dict[str, Any] = tomllib.loads(TEXT)
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[Any]] = PROJECT["dependency-groups"]
LOCKS = ("requirements.lock", "requirements-dev.lock")


def locked(name: str) -> dict[str, list[str]]:
    """{package: its lines}, one for each version and marker."""
    found: dict[str, list[str]] = {}
    for line in re.findall(r"^([A-Za-z0-9].*)$", (ROOT / name).read_text(), re.M):
        found.setdefault(line.partition("==")[0], []).append(line)
    return found


def named(requirements: list[Any]) -> set[str]:
    names = (re.match(r"[A-Za-z0-9-]+", one) for one in requirements if isinstance(one, str))
    return {found[0].lower() for found in names if found} - {"alsobought"}


def test_every_dependency_has_its_reason() -> None:
    block = TEXT.partition("dependencies = [")[2].partition("[project.scripts]")[0]
    for line in re.findall(r'^    "(.+)$', block, re.M):
        reason = line.partition("#")[2].split()
        assert 2 <= len(reason) <= 6, line


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_a_hash_for_every_package_and_names_no_host(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash=sha256:[0-9a-f]{64}\b)", text, re.M)
    for block in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M)[1:]:
        assert re.match(r"[a-z0-9.-]+==\S+( ; .+)? \\\n    --hash=sha256:", block), block


def test_the_locks_hold_what_pyproject_asks_for() -> None:
    service = named(PROJECT["project"]["dependencies"])
    installed = [part for name, part in EXTRAS.items() if name != "broker"]  # that is fetched where there is no Java
    more = {name for part in (*installed, *GROUPS.values()) for name in named(part)}
    assert service <= set(locked("requirements.lock"))
    assert service | more <= set(locked("requirements-dev.lock"))
    assert not (more - service) & {"pytest", "mypy", "ruff"} & set(locked("requirements.lock"))


def test_dev_is_all_groups() -> None:
    assert [one["include-group"] for one in GROUPS["dev"]] == [name for name in GROUPS if name != "dev"]


def test_the_hooks_run_the_tools_of_make_lint() -> None:
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    tools = set(re.findall(r"\$\(BIN\)/(\S+)", lint))
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    assert {hook["entry"].split()[0] for hook in repository["hooks"]} == {f".venv/bin/{tool}" for tool in tools}


def test_a_release_needs_no_secret_and_takes_everything_that_make_builds() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert "secrets." not in text
    (job,) = yaml.safe_load(text)["jobs"].values()
    said = "\n".join(step.get("run", "") for step in job["steps"])
    for part in ("make build", "docker build", "docker save", "gh release create", "dist/*"):
        assert part in said
    for path in re.findall(r"pytest (\S+)", said):
        assert (ROOT / path).is_file()
