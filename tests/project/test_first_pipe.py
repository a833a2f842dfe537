"""docs/first_pipe.md is true: its files are written and its commands run in their order, and they answer what stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.process import Run, running, serving
from tests.support.project import ROOT

GUIDE = (ROOT / "docs" / "first_pipe.md").read_text()
BLOCK = re.compile(r"(?:<!-- (?P<mark>[^>]+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL)
END = "--- the end of the answer ---"
FOUND_BY_FOLDER = ("ALSOBOUGHT_HOME", "ALSOBOUGHT_DATA")  # the guide sets neither


@pytest.fixture
def reader(tmp_path: Path) -> Run:
    """A home with a clone in it, as the guide expects one."""
    clone = tmp_path / "alsobought"
    command = clone / ".venv" / "bin" / "alsobought"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m alsobought "$@"\n')
    command.chmod(0o755)
    made = running(tmp_path / "my_shop" / "data", HOME=str(tmp_path), COLUMNS="100")
    return replace(made.at(tmp_path / "my_shop"), folder=tmp_path)


@contextmanager
def shell(run: Run) -> Iterator[subprocess.Popen[str]]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    env = {name: value for name, value in run.environment({}).items() if name not in FOUND_BY_FOLDER}
    with subprocess.Popen(["bash"], text=True, cwd=run.folder, env=env, **pipes) as opened:  # type: ignore[call-overload]
        yield opened
        opened.stdin.close()


def answer_of(opened: subprocess.Popen[str], command: str) -> str:
    """What a command prints, and what it complains of."""
    assert opened.stdin
    assert opened.stdout
    opened.stdin.write(f"{command}\necho; echo '{END}'\n")
    opened.stdin.flush()
    lines = iter(opened.stdout.readline, f"{END}\n")
    return "".join(lines)


def plain(text: str) -> str:
    """Without what differs from run to run: times, bars, and spaces at the ends of lines."""
    text = re.sub(r"\b[\d.]+ (ms|s)\b", r"0 \1", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines() if "━" not in line)


def test_the_guide_is_true(reader: Run, tmp_path: Path) -> None:
    port = reader.settings["ALSOBOUGHT_PORT"]
    with ExitStack() as ends:
        opened = ends.enter_context(shell(reader))
        service = None
        for block in BLOCK.finditer(GUIDE):
            mark, text = block["mark"] or "", block["text"].replace("8080", port)
            if mark.startswith("file: "):
                (tmp_path / "my_shop" / mark.removeprefix("file: ")).write_text(block["text"])
            elif mark == "second terminal":
                service = ends.enter_context(serving(reader))
                assert plain(text).endswith(service.url)
            else:
                assert block["language"] == "console", block[0]
                for asked in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                    command, _, due = asked.partition("\n")
                    pattern = ".*?".join(map(re.escape, plain(due).split("…")))
                    came = plain(answer_of(opened, command))
                    assert re.fullmatch(pattern, came, re.DOTALL), f"$ {command}\n{came}\n-- due --\n{plain(due)}"
        assert service
        listed = service.ask("/pipes")[1]
        assert "only_looked_at" in str(listed)


def test_the_readme_leads_to_the_guide() -> None:
    assert "](docs/first_pipe.md)" in (ROOT / "README.md").read_text()
