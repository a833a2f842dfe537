"""Upgrade a project to the files of the package: add new files, replace unchanged ones, keep those that the shop changed.

After a kill at any point, the next run continues: each file is replaced atomically, the manifest is written last, and a file
that already equals the package's is skipped. Migrations are special: all of them are added, under the next free number if the
shop has used theirs, and none that is applied may change.
"""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from alsobought.errors import MigrationFault, Unusable
from alsobought.failpoints import reach
from alsobought.migrations import journal
from alsobought.migrations.files import migrations
from alsobought.project.manifest import Manifest, hash_of, read_manifest, write_manifest, write_whole
from alsobought.project.package_files import package_files
from alsobought.service.ipc_client import reach_warehouse
from alsobought.settings import Settings, is_project, packaged_home
from alsobought.storage.folder_lock import contains_warehouse, folder_of

State = Literal["new", "updated", "current", "yours", "deleted", "obsolete"]
"""new: not in the project yet. updated: not changed by the shop, another in the package. current: the same as the package's.
yours: changed by the shop. deleted: by the shop. obsolete: not changed by the shop, and gone from the package."""


@dataclass(frozen=True)
class Step:
    """One file: `name` in the package, `path` in the project. `newer`: the package's text changed since the last upgrade."""

    name: str
    path: str
    state: State
    newer: bool = False


@dataclass(frozen=True)
class Plan:
    home: Path
    manifest: Manifest  # as it is before
    steps: list[Step]

    @property
    def writes(self) -> list[Step]:
        return [step for step in self.steps if step.state in ("new", "updated")]

    def of(self, *states: State) -> list[Step]:
        return [step for step in self.steps if step.state in states]


def planned(home: Path) -> Plan:
    """What an upgrade would do. Raises Unusable for a folder that is not a project, or a project newer than the package."""
    manifest = read_manifest(home)
    if home == packaged_home():
        raise Unusable(f"{home} is a checkout of Alsobought, not a project", "Upgrade it with `git pull`")
    if manifest is None and not is_project(home):
        raise Unusable(f"{home} is not a project", "Create one with `alsobought init myshop`")
    manifest = manifest or Manifest(version="")
    if _numbers(manifest.version) > _numbers(version("alsobought")):
        raise Unusable(
            f"the project has version {manifest.version}, this package only {version('alsobought')}",
            f"Install Alsobought {manifest.version} or newer",
        )
    sources = package_files()
    targets = _targets(home, manifest, sources)
    steps = [_step(home, manifest, name, targets[name], source) for name, source in sources.items()]
    gone = [name for name in manifest.files if name not in sources]
    obsolete = [
        Step(name, name, "obsolete")
        for name in gone
        if (home / name).is_file() and hash_of(home / name) == manifest.files[name]
    ]
    return Plan(home, manifest, steps + obsolete)


def _numbers(text: str) -> list[int]:
    """0.2.0 as numbers that can be compared; what is not a release is the release it leads to."""
    release = re.match(r"[\d.]*", text)
    return [int(part) for part in (release[0] if release else "").split(".") if part]


def _targets(home: Path, manifest: Manifest, sources: Mapping[str, Path]) -> dict[str, str]:
    """Where each file stands in the project. A migration whose number the shop has used gets the next free one."""
    there = {path.name: path for path in sorted((home / "migrations").glob("*.sql"))}
    used = {int(name[:4]) for name in there if name[:4].isdigit()}
    targets = {}
    for name, source in sources.items():
        targets[name] = manifest.renumbered.get(name, name)
        if not name.startswith("migrations/") or name in manifest.files or source.name in there:
            continue
        same = [path for path in there.values() if path.stem[5:] == source.stem[5:]]
        twin = next((path for path in same if path.is_file() and path.read_bytes() == source.read_bytes()), None)
        if twin:  # an upgrade was killed after it wrote this one
            targets[name] = f"migrations/{twin.name}"
            continue
        number = max(used, default=0) + 1
        used.add(number)
        targets[name] = f"migrations/{number:04}{source.name[4:]}"
    return targets


def _step(home: Path, manifest: Manifest, name: str, path: str, source: Path) -> Step:
    known, ours = manifest.files.get(name), hash_of(source)
    if not (home / path).is_file():
        deleted = known is not None and not name.startswith("migrations/")
        return Step(name, path, "deleted" if deleted else "new")
    theirs = hash_of(home / path)
    if theirs == ours:
        return Step(name, path, "current")
    return Step(name, path, "updated" if theirs == known else "yours", newer=bool(manifest.version) and known != ours)


def refuse_broken_migrations(plan: Plan, settings: Settings) -> None:
    """Raises MigrationFault where an applied migration would change, or the migrations would not fit together."""
    sources = package_files()
    differing = [step for step in plan.of("updated", "yours") if step.name.startswith("migrations/")]
    if differing:
        _refuse_applied(plan.home, differing, settings)
    if any(step.name.startswith("migrations/") for step in plan.writes):
        with tempfile.TemporaryDirectory(prefix="alsobought-") as folder:
            texts = {path.name: path for path in (plan.home / "migrations").glob("*.sql")}
            texts |= {
                Path(step.path).name: sources[step.name] for step in plan.writes if step.path.startswith("migrations/")
            }
            for file, path in texts.items():
                if path.is_file():
                    Path(folder, file).write_bytes(path.read_bytes())
            try:
                migrations(Path(folder))
            except MigrationFault as fault:
                raise MigrationFault(f"together with the package's migrations, {fault.message}", fault.hint) from fault


def _refuse_applied(home: Path, differing: list[Step], settings: Settings) -> None:
    folder = folder_of(settings.warehouse_dsn)
    if folder and not contains_warehouse(folder):
        return
    warehouse = reach_warehouse(settings, create=False, must_exist=False)
    try:
        applied = {number for number, entry in journal.latest(warehouse).items() if entry.state == "applied"}
    finally:
        warehouse.close()
    sources = package_files()
    for step in differing:
        if int(Path(step.path).name[:4]) in applied:
            raise MigrationFault(
                f"{step.path} is applied, and differs from the package's",
                f"An applied migration must not change: see `diff {home / step.path} {sources[step.name]}`,"
                " and restore the text that was applied; `alsobought migrate status` checks it",
            )


def upgrade(plan: Plan) -> Iterator[Step]:
    """Writes what the plan says, yielding each file once it is written, and the manifest last. Raises Unusable."""
    sources = package_files()
    for step in plan.writes:
        write_whole(plan.home / step.path, sources[step.name].read_bytes())
        reach("upgrade.file")
        yield step
    obsolete = {step.name: plan.manifest.files[step.name] for step in plan.of("obsolete")}
    here = [step for step in plan.steps if step.state != "obsolete"]
    files = {step.name: hash_of(sources[step.name]) for step in here}
    renumbered = {step.name: step.path for step in here if step.path != step.name}
    write_manifest(
        plan.home, Manifest(version("alsobought"), complete=True, files=files | obsolete, renumbered=renumbered)
    )


def started(folder: Path) -> Plan:
    """The plan of a new project in an empty folder, or in one where `init` was killed. Raises Unusable."""
    manifest = read_manifest(folder)
    if manifest is None or manifest.complete:
        inside = sorted(path.name for path in folder.iterdir() if path.name != ".git") if folder.exists() else []
        if inside:
            known = "is a project already" if manifest else f"is not empty: it holds {', '.join(inside[:3])}"
            hint = "Run `alsobought upgrade` in it for newer files" if manifest else "Name a new folder"
            raise Unusable(f"{folder} {known}{', …' if len(inside) > 3 and not manifest else ''}", hint)
    write_manifest(folder, Manifest(version("alsobought")))
    return planned(folder)


def difference(plan: Plan, step: Step) -> list[str]:
    """The lines that the shop took out of the package's text (-) and put into it (+), each with its neighbours."""
    source = package_files()[step.name]
    theirs, ours = (path.read_text("utf-8", errors="replace").splitlines() for path in (plan.home / step.path, source))
    return list(difflib.unified_diff(ours, theirs, lineterm="", n=1))[2:]
