"""The architecture is the order of this list: a module imports what stands below it, never what stands above."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from alsobought.settings import HOME

LAYERS = [
    ["alsobought.cli.main"],  # the hand
    ["alsobought.cli.evaluate"],
    ["alsobought.cli.pipes"],
    ["alsobought.cli.cases", "alsobought.cli.files", "alsobought.cli.show"],
    [
        "alsobought.cli.check",
        "alsobought.cli.doctor",
        "alsobought.cli.features",
        "alsobought.cli.ingest",
        "alsobought.cli.learn",
        "alsobought.cli.letters",
        "alsobought.cli.load",
        "alsobought.cli.migrate",
        "alsobought.cli.rebuild",
        "alsobought.cli.users",
    ],
    ["alsobought.cli.diff"],
    ["alsobought.diagnostics.doctor"],
    ["alsobought.demo.play"],
    ["alsobought.evaluation.shown"],
    ["alsobought.evaluation.gates"],
    ["alsobought.evaluation.run"],
    ["alsobought.evaluation.report"],
    ["alsobought.evaluation.replay"],
    ["alsobought.evaluation.sources"],
    ["alsobought.evaluation.shop_log"],
    ["alsobought.demo.journey", "alsobought.demo.toyshop"],
    ["alsobought.authoring.update_answers", "alsobought.authoring.pipe_files"],
    ["alsobought.authoring.pipe_tests", "alsobought.web.server"],
    ["alsobought.pipe_diff.compare"],
    ["alsobought.pipe_diff.ask", "alsobought.pipe_diff.people"],
    ["alsobought.pipe_diff.requests", "alsobought.pipe_diff.revision"],
    ["alsobought.service.ipc_client"],  # a command, beside a running shop or not
    ["alsobought.web.factory"],  # the face
    ["alsobought.web.editing"],
    ["alsobought.web.endpoints", "alsobought.web.workbench"],
    ["alsobought.web.openapi"],
    [
        "alsobought.web.formats",
        "alsobought.web.guard",
        "alsobought.web.metrics",
        "alsobought.web.write_slots",
        "alsobought.web.reply",
        "alsobought.web.json_schemas",
        "alsobought.web.worker",
    ],
    ["alsobought.web.live_events"],
    ["alsobought.service.ipc_server", "alsobought.kafka.consumer"],  # others may ask; Kafka is read
    ["alsobought.kafka.polled"],
    ["alsobought.service.service"],  # a running shop, and files into it
    ["alsobought.service.sinks"],
    ["alsobought.serving.visibility", "alsobought.kafka.producer"],
    ["alsobought.service.monitor"],
    ["alsobought.service.maintenance", "alsobought.counts.consistency"],
    [
        "alsobought.privacy.erasure",
        "alsobought.privacy.export",
        "alsobought.counts.snapshot",
        "alsobought.counts.rebuild",
    ],
    ["alsobought.evaluation.ask"],
    ["alsobought.evaluation.baselines.lightgbm_rank"],
    ["alsobought.evaluation.baselines.candidates"],
    [f"app.evaluation.baselines.{name}" for name in ("als", "co_occurrence", "ease", "popular", "swing", "user_cf")],
    ["alsobought.evaluation.baselines.personal"],
    ["alsobought.evaluation.baselines.matrices"],
    ["alsobought.evaluation.baselines.registry", "alsobought.evaluation.baselines.scores"],
    ["alsobought.learning.registry"],  # what is computed now and then
    ["alsobought.learning.embeddings", "alsobought.learning.neighbours", "alsobought.learning.ranker"],
    ["alsobought.learning.runs"],
    [
        "alsobought.learning.protocol",
        "alsobought.learning.ease",
        "alsobought.learning.factors",
        "alsobought.learning.logistic",
    ],
    ["alsobought.learning.context"],
    ["alsobought.learning.table_swap"],
    [
        "alsobought.kafka.dead_letters",
        "alsobought.loading.loader",
        "alsobought.serving.invalidation",
        "alsobought.serving.request_log",
    ],
    ["alsobought.loading.rejects", "alsobought.loading.mapping"],
    ["alsobought.loading.readers", "alsobought.serving.explain"],
    [
        "alsobought.writer.writer",
        "alsobought.serving.answers",
        "alsobought.migrations.runner",
        "alsobought.counts.sum_checks",
        "alsobought.kafka.checkpoints",
    ],  # what is done with the warehouse
    ["alsobought.writer.user_rewrite", "alsobought.counts.backfill"],
    ["alsobought.counts.time_buckets", "alsobought.counts.shadow_table", "alsobought.counts.recompute"],
    ["alsobought.storage.scratch_database", "alsobought.counts.retention_horizon"],
    [
        "alsobought.writer.recovery",
        "alsobought.writer.fencing",
        "alsobought.storage.identities",
        "alsobought.storage.retention",
        "alsobought.storage.count_tables",
        "alsobought.storage.catalogue",
        "alsobought.migrations.draft",
        "alsobought.migrations.journal",
        "alsobought.migrations.lock",
        "alsobought.migrations.schema",
    ],
    ["alsobought.writer.submission", "alsobought.storage.ledger", "alsobought.storage.mutation_journal"],
    ["alsobought.storage.warehouse"],  # the door
    ["alsobought.storage.folder_lock"],
    ["alsobought.pipes.lineage", "alsobought.pipes.fallbacks"],
    ["alsobought.pipes.library", "alsobought.pipes.drafts"],  # the thought
    ["alsobought.pipes.validation"],
    ["alsobought.pipes.check", "alsobought.pipes.engine_errors"],
    ["alsobought.pipes.columns", "alsobought.pipes.order", "alsobought.pipes.validation_cache"],
    ["alsobought.pipes.scopes"],
    ["alsobought.pipes.template", "alsobought.pipes.header"],
    ["alsobought.pipes.csv_files"],
    ["alsobought.pipes.declaration", "alsobought.pipes.source_map"],
    ["alsobought.pipes.parameters"],
    ["alsobought.pipes.types"],
    ["alsobought.migrations.cluster", "alsobought.migrations.files"],
    ["alsobought.migrations.statement"],
    ["alsobought.kafka.decoding"],
    ["alsobought.diagnostics.findings", "alsobought.kafka.client", "alsobought.kafka.segment"],
    ["alsobought.web.case_runner", "alsobought.pipe_diff.shown", "alsobought.pipe_diff.markdown"],
    ["alsobought.pipe_diff.words"],
    ["alsobought.pipe_diff.report"],
    ["alsobought.evaluation.bootstrap"],
    ["alsobought.evaluation.measures"],
    ["alsobought.evaluation.tasks"],
    ["alsobought.evaluation.log"],
    ["alsobought.events", "alsobought.serving.cache", "alsobought.settings", "alsobought.console", "alsobought.logs"],
    ["alsobought.service.ipc_protocol"],
    ["alsobought.authoring.row_diff", "alsobought.failpoints", "alsobought.pipe_diff.overlap"],
    ["alsobought.errors"],
]
PLACE = {module: place for place, layer in enumerate(LAYERS) for module in layer}
ENGINES = ("chdb", "clickhouse_connect")
PURE = [
    "alsobought.events",
    "alsobought.pipes.header",
    "alsobought.pipes.parameters",
    "alsobought.pipes.template",
    "alsobought.pipes.check",
    "alsobought.errors",
]
PURE += [
    "alsobought.pipe_diff.overlap",
    "alsobought.pipe_diff.report",
    "alsobought.pipe_diff.words",
    "alsobought.pipe_diff.markdown",
]
PURE += [
    f"app.pipes.{name}"
    for name in ("columns", "csv_files", "declaration", "engine", "filling", "kinds", "order", "places", "scopes")
]
PURE += ["alsobought.migrations.cluster", "alsobought.migrations.files", "alsobought.migrations.statement"]


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
