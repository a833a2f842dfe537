"""docs/tutorials/ is true: files are written and commands run in their order, and they answer what stands there.

A block of code is a file (`<!-- file: NAME -->` above it), the service (`<!-- second terminal -->`), something to read
(`<!-- not run: … -->`), or commands and their answers.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect, sync_playwright

from alsobought.bots import PEOPLE
from tests.support.process import Run, ServedProcess, running, serving
from tests.support.project import ROOT

pytestmark = pytest.mark.journey

TUTORIALS = ROOT / "docs" / "tutorials"
BLOCK = re.compile(r"(?:<!-- (?P<mark>[^>]+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL)
END = "--- the end of the answer ---"
FOUND_BY_FOLDER = ("ALSOBOUGHT_HOME", "ALSOBOUGHT_DATA")  # the tutorials set neither


@pytest.fixture
def reader(tmp_path: Path) -> Run:
    """A home with a clone in it, as the tutorials expect one."""
    clone = tmp_path / "alsobought"
    command = clone / ".venv" / "bin" / "alsobought"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m alsobought "$@"\n')
    command.chmod(0o755)
    run = running(tmp_path / "my_shop" / "data", HOME=str(tmp_path), COLUMNS="100")
    return replace(run.at(tmp_path / "my_shop"), folder=tmp_path)


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


@dataclass
class Followed:
    """A tutorial that was followed to its end, whose service still runs if it has one."""

    shop: Path
    service: ServedProcess | None = None


@contextmanager
def followed(page: str, reader: Run) -> Iterator[Followed]:
    assert reader.folder
    port = reader.settings["ALSOBOUGHT_PORT"]
    done = Followed(reader.folder / "my_shop")
    with ExitStack() as ends:
        opened = ends.enter_context(shell(reader))
        for block in BLOCK.finditer((TUTORIALS / page).read_text()):
            mark, text = block["mark"] or "", block["text"].replace("8080", port)
            if mark.startswith("file: "):
                path_in(done.shop, mark.removeprefix("file: ")).write_text(text)
            elif mark == "second terminal":
                done.service = ends.enter_context(serve_as_told(reader, text))
            elif not mark.startswith("not run: "):
                assert block["language"] == "console", block[0]
                for asked in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                    command, _, due = asked.partition("\n")
                    compare(command, answer_of(opened, command), due)
        yield done


def path_in(shop: Path, name: str) -> Path:
    """NNNN is the number of the migration that a command has just made."""
    if "NNNN" not in name:
        return shop / name
    (path,) = shop.glob(name.replace("NNNN", "[0-9]" * 4))
    return path


@contextmanager
def serve_as_told(reader: Run, text: str) -> Iterator[ServedProcess]:
    """`$ NAME=value alsobought serve`, and perhaps what it prints."""
    command, _, due = text.removeprefix("$ ").partition("\n")
    *settings, program, verb = shlex.split(command)
    assert (program, verb) == ("alsobought", "serve")
    told = dict(setting.split("=", 1) for setting in settings)
    with serving(replace(reader, settings={**reader.settings, **told})) as service:
        assert not due or plain(due).endswith(service.url)
        yield service


def compare(command: str, came: str, due: str) -> None:
    pattern = ".*?".join(map(re.escape, plain(due).split("…")))
    assert re.fullmatch(pattern, plain(came), re.DOTALL), f"$ {command}\n{plain(came)}\n-- due --\n{plain(due)}"


USUAL = ("first-pipe.md", "own-shop.md")
PAGES = [
    pytest.param(name, marks=() if name in USUAL else pytest.mark.thorough)
    for name in sorted(path.name for path in TUTORIALS.glob("*.md"))
]


@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_is_true(page: str, reader: Run) -> None:
    with followed(page, reader) as done:
        if page == "first-pipe.md":
            assert done.service
            with urlopen(f"{done.service.url}/pipes", timeout=120) as listed:  # the first time all pipes are read
                assert b"only_looked_at" in listed.read()
        if page == "own-shop.md":
            assert done.service
            look_at(done.shop / "product.html")
            assert done.service.ask("/pipes/users_for_item?item_id=T1")[0] == 200


def look_at(page: Path) -> None:
    """The shelf of own-shop.md in a browser: filled in the order of the answer, and nothing in the console."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=sandbox)
        opened = browser.new_page(user_agent=PEOPLE[1])
        problems: list[str] = []
        opened.on("console", lambda message: problems.append(message.text))
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.goto(page.as_uri())
        expect(opened.locator("#shelf li")).to_have_text(
            [re.compile("Tea pot"), re.compile("Lime honey"), re.compile(".+")]
        )
        with opened.expect_response(lambda response: response.url.endswith("/events")) as answered:
            opened.click("#buy")
        assert answered.value.status == 202
        assert problems == []
        browser.close()


def test_the_readme_leads_to_every_tutorial() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "README.md").read_text().replace("](", "](docs/")
    for path in TUTORIALS.glob("*.md"):
        assert f"](docs/tutorials/{path.name})" in text
