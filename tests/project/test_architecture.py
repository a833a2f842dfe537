"""What the import contracts of pyproject.toml do not cover: pure modules, late imports of the engine, package docstrings."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import ROOT

ENGINES = ("chdb", "clickhouse_connect")
PURE = [
    "alsobought.errors",
    "alsobought.events",
    "alsobought.storage.sql_text",
    "alsobought.writer.batching",
    "alsobought.writer.rows",
    *(f"alsobought.migrations.{name}" for name in ("files", "replicated", "statement")),
    *(f"alsobought.pipe_diff.{name}" for name in ("markdown", "overlap", "report", "report_text")),
    *(
        f"alsobought.pipes.{name}"
        for name in (
            "calls",
            "check",
            "columns",
            "csv_files",
            "declaration",
            "engine_errors",
            "fallbacks",
            "functions",
            "header",
            "lexemes",
            "names",
            "order",
            "parameters",
            "scopes",
            "source_map",
            "template",
            "types",
        )
    ),
]


def path_of(module: str) -> Path:
    return ROOT / "app" / (module.replace(".", "/") + ".py")


def modules() -> list[str]:
    """Everything under app/ but the packages' own files, which only say what they are for."""
    paths = sorted((ROOT / "app").rglob("*.py"))
    return [".".join(p.relative_to(ROOT / "app").with_suffix("").parts) for p in paths if p.name != "__init__.py"]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(nodes: ast.AST) -> Iterator[str]:
    """What is imported anywhere in it, also inside functions, as far as it is a module of ours or another's."""
    for node in ast.walk(nodes):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            yield node.module


def test_packages_say_what_they_are_for_and_nothing_else() -> None:
    for path in (ROOT / "app").rglob("__init__.py"):
        assert ast.get_docstring(tree(path)), path
        assert len(tree(path).body) == 1, path


def test_the_page_on_architecture_lists_every_package_at_its_level_and_only_modules_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    listed = {name: int(level) for level, name in re.findall(r"^\| (\d) \| `(\w+)` \|", page, re.M)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"][:-1]
    assert listed == {name: len(layers) - nth for nth, layer in enumerate(layers) for name in layer.split(" | ")}
    packages = "|".join(listed)
    named = set(re.findall(rf"`((?:{packages})\.\w+)`", page))
    assert {f"alsobought.{name}" for name in named} <= set(modules())


@pytest.mark.parametrize("module", modules())
def test_no_module_imports_the_engine_at_the_top(module: str) -> None:
    """It does not survive the fork of the web server, and a command that needs none starts in a fifth of the time."""

    def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                yield child
                yield from outside_functions(child)

    for node in outside_functions(tree(path_of(module))):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            assert not [name for name in imports(node) if name.split(".")[0] in ENGINES], f"line {node.lineno}"


@pytest.mark.parametrize("module", PURE)
def test_the_thought_knows_no_network_no_web_and_no_clock(module: str) -> None:
    outside = {name.split(".")[0] for name in imports(tree(path_of(module)))}
    assert outside & {"flask", "socket", "urllib", "threading", "time", "os", "subprocess", *ENGINES} == set()
    for node in ast.walk(tree(path_of(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in ("now", "utcnow", "today"), f"line {node.lineno} asks the clock"
