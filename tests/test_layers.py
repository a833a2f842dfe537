"""The architecture is the order of this list: a module imports what stands below it, never what stands above."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import HOME

LAYERS = [
    ["app.cli"],  # the hand
    ["app.cli_evaluate"],
    ["app.cli_pipes"],
    ["app.cli_cases", "app.cli_files", "app.cli_functions", "app.cli_show"],
    [
        "app.cli_check",
        "app.cli_doctor",
        "app.cli_features",
        "app.cli_ingest",
        "app.cli_learn",
        "app.cli_letters",
        "app.cli_load",
        "app.cli_migrate",
        "app.cli_rebuild",
        "app.cli_users",
    ],
    ["app.cli_diff"],
    ["app.doctor"],
    ["app.demo.play"],
    ["app.evaluation.shown"],
    ["app.evaluation.gates"],
    ["app.evaluation.run"],
    ["app.evaluation.report"],
    ["app.evaluation.replay"],
    ["app.evaluation.sources"],
    ["app.evaluation.shop_log"],
    ["app.demo.journey", "app.demo.toyshop"],
    ["app.cases_update", "app.pipe_files"],
    ["app.cases", "app.serve"],
    ["app.replay.compare"],
    ["app.replay.ask", "app.replay.people"],
    ["app.replay.requests", "app.replay.revision"],
    ["app.visitor"],  # a command, beside a running shop or not
    ["app.web.factory"],  # the face
    ["app.web.editing"],
    ["app.web.endpoints", "app.web.workbench"],
    ["app.web.openapi"],
    [
        "app.web.formats",
        "app.web.guard",
        "app.web.metrics",
        "app.web.places",
        "app.web.reply",
        "app.web.shapes",
        "app.web.worker",
    ],
    ["app.live"],
    ["app.holder", "app.stream"],  # others may ask; Kafka is read
    ["app.chunk"],
    ["app.shop"],  # a running shop, and files into it
    ["app.posts"],
    ["app.follow", "app.producer"],
    ["app.watch"],
    ["app.errands", "app.check"],
    ["app.users", "app.export", "app.freeze", "app.rebuild"],
    ["app.evaluation.ask"],
    ["app.evaluation.baselines.lightgbm_rank"],
    ["app.evaluation.baselines.candidates"],
    [f"app.evaluation.baselines.{name}" for name in ("als", "co_occurrence", "ease", "popular", "swing", "user_cf")],
    ["app.evaluation.baselines.personal"],
    ["app.evaluation.baselines.matrices"],
    ["app.evaluation.baselines.registry", "app.evaluation.baselines.scores"],
    ["app.learning.registry"],  # what is computed now and then
    ["app.learning.embeddings", "app.learning.neighbours", "app.learning.ranker"],
    ["app.learning.learned"],
    ["app.learning.learner", "app.learning.ease", "app.learning.factors", "app.learning.logistic"],
    ["app.learning.context"],
    ["app.learning.replacement"],
    ["app.letters", "app.load", "app.touched", "app.recorder"],
    ["app.refusals", "app.columns"],
    ["app.files", "app.explain"],
    [
        "app.ingest",
        "app.answers",
        "app.migrate",
        "app.counts",
        "app.lag",
    ],  # what is done with the warehouse
    ["app.rewrite_users", "app.fill"],
    ["app.buckets", "app.shadow", "app.compare"],
    ["app.scratch", "app.expired"],
    [
        "app.heal",
        "app.turns",
        "app.people",
        "app.retention",
        "app.views",
        "app.catalogue",
        "app.migrations.draft",
        "app.migrations.journal",
        "app.migrations.lock",
        "app.migrations.schema",
    ],
    ["app.intake", "app.ledger", "app.rewrites"],
    ["app.warehouse"],  # the door
    ["app.folder"],
    ["app.pipes.lineage", "app.pipes.filling"],
    ["app.pipes.library", "app.pipes.drafts"],  # the thought
    ["app.pipes.trial"],
    ["app.pipes.check", "app.pipes.engine"],
    ["app.pipes.calls"],
    ["app.pipes.names"],
    ["app.pipes.columns", "app.pipes.order", "app.pipes.tried"],
    ["app.pipes.functions", "app.pipes.lexemes", "app.pipes.scopes"],
    ["app.pipes.template", "app.pipes.header"],
    ["app.pipes.csv_files"],
    ["app.pipes.declaration", "app.pipes.places"],
    ["app.pipes.parameters"],
    ["app.pipes.kinds"],
    ["app.migrations.cluster", "app.migrations.files"],
    ["app.migrations.statement"],
    ["app.messages"],
    ["app.examination", "app.kafka", "app.segment"],
    ["app.apart", "app.replay.shown", "app.replay.markdown"],
    ["app.replay.words"],
    ["app.replay.report"],
    ["app.evaluation.bootstrap"],
    ["app.evaluation.measures"],
    ["app.evaluation.tasks"],
    ["app.evaluation.log"],
    ["app.events", "app.cache", "app.settings", "app.progress", "app.logs"],
    ["app.line"],
    ["app.expected", "app.failpoints", "app.replay.overlap"],
    ["app.errors"],
]
PLACE = {module: place for place, layer in enumerate(LAYERS) for module in layer}
ENGINES = ("chdb", "clickhouse_connect")
PURE = ["app.events", "app.pipes.header", "app.pipes.parameters", "app.pipes.template", "app.pipes.check", "app.errors"]
PURE += ["app.replay.overlap", "app.replay.report", "app.replay.words", "app.replay.markdown"]
PURE += [
    f"app.pipes.{name}"
    for name in (
        *(
            "calls",
            "columns",
            "csv_files",
            "declaration",
            "engine",
            "filling",
            "functions",
            "kinds",
            "lexemes",
            "names",
            "order",
        ),
        *("places", "scopes"),
    )
]
PURE += ["app.migrations.cluster", "app.migrations.files", "app.migrations.statement"]


def path_of(module: str) -> Path:
    return HOME / (module.replace(".", "/") + ".py")


def modules() -> list[str]:
    """Everything under app/ but the packages' own files, which only say what they are for."""
    paths = sorted((HOME / "app").rglob("*.py"))
    return [".".join(p.relative_to(HOME).with_suffix("").parts) for p in paths if p.name != "__init__.py"]


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
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in PLACE else node.module


def test_every_module_has_its_place_and_every_place_its_module() -> None:
    assert sorted(PLACE) == modules()
    assert len(PLACE) == sum(map(len, LAYERS)), "a module stands in one place"


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module: str) -> None:
    ours = {name for name in imports(tree(path_of(module))) if name.split(".")[0] == "app"}
    assert {name for name in ours if name not in PLACE} == set()
    assert {name for name in ours if PLACE[name] <= PLACE[module]} == set()


def test_packages_say_what_they_are_for_and_nothing_else() -> None:
    for path in (HOME / "app").rglob("__init__.py"):
        assert ast.get_docstring(tree(path)), path
        assert len(tree(path).body) == 1, path


def test_every_package_is_installed() -> None:
    project = tomllib.loads((HOME / "pyproject.toml").read_text())
    folders = {".".join(path.parent.relative_to(HOME).parts) for path in (HOME / "app").rglob("__init__.py")}
    assert set(project["tool"]["setuptools"]["packages"]) == folders


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
