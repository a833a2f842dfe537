"""The README tells the truth: its settings, its pipe, its case and its error codes are the project's own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec

from app import errors
from app.cases import bench, cases_of
from app.settings import HOME, PREFIX, Settings, sentences

README = (HOME / "README.md").read_text()


def settings_table() -> str:
    """The table between the two marks."""
    defaults = Settings()
    lines = ["| variable | default | |", "|---|---|---|"]
    for name, sentence in sentences().items():
        default = "" if name == "home" else str(getattr(defaults, name))
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
    for folder in ("pipes", "sql", "migrations"):
        shutil.copytree(HOME / folder, tmp_path / folder)
    (tmp_path / "pipes" / "loved.sql").write_text(_block("sql"))
    (tmp_path / "loved.yaml").write_text(_block("yaml"))
    with bench(msgspec.structs.replace(Settings(), home=str(tmp_path))) as workbench:
        assert [workbench.run("loved", case) for case in cases_of(tmp_path / "loved.yaml")] == [""]


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.S)
    assert found
    return found[1]
