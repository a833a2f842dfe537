"""The README tells the truth: its settings, its pipe, its case and its error codes are the project's own."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import msgspec

from app import errors
from app.cases import bench, cases_of
from app.settings import HOME, PREFIX, Settings, sentences
from app.shop import open_shop
from app.web.factory import create_app

README = (HOME / "README.md").read_text()


def settings_table() -> str:
    """The table between the two marks."""
    defaults = Settings()
    lines = ["| variable | default | |", "|---|---|---|"]
    for name, sentence in sentences().items():
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
    for folder in ("pipes", "sql", "migrations"):
        shutil.copytree(HOME / folder, tmp_path / folder)
    (tmp_path / "pipes" / "loved.sql").write_text(_block("sql"))
    (tmp_path / "loved.yaml").write_text(_block("yaml"))
    with bench(msgspec.structs.replace(Settings(), home=str(tmp_path))) as workbench:
        assert [workbench.run("loved", case) for case in cases_of(tmp_path / "loved.yaml")] == [""]


def test_the_pipe_of_the_readme_that_reads_requests_answers(tmp_path: Path) -> None:
    for folder in ("pipes", "sql", "migrations"):
        shutil.copytree(HOME / folder, tmp_path / folder)
    (tmp_path / "pipes" / "asked.sql").write_text(_block("sql", 1))
    settings = Settings(home=str(tmp_path), dsn="chdb://:memory:", database="readme")
    shop = open_shop(settings)
    try:
        client = create_app(shop).test_client()
        for path in ("trending", "trending", "also_bought?item_id=tea"):
            assert client.get(f"/pipes/{path}").status_code == 200
        assert shop.recorder
        shop.recorder.flush()
        rows = json.loads(client.get("/pipes/asked").text)["data"]
        assert [(row["name"], row["requests"], row["from_fallback"]) for row in rows] == [
            ("also_bought", 1, 0),
            ("trending", 2, 0),
        ]
        assert all(0 < row["p99_seconds"] < 10 for row in rows)
    finally:
        shop.close()


def _block(language: str, place: int = 0) -> str:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.S)
    return found[place]
