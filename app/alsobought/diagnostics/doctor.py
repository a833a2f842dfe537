"""What is wrong with an installation, and what to do: one finding for each matter, each examined apart from the others.

Nothing is changed, neither rows nor files; only that an engine which opens a damaged folder sets aside what it cannot
read, whoever opens it. What needs no engine comes first; then the tables are asked.
"""

from __future__ import annotations

import http.client
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from alsobought.console import ago
from alsobought.diagnostics.findings import Finding, apart, in_own_process
from alsobought.errors import Unusable
from alsobought.kafka.ingest_status import status
from alsobought.migrations import runner
from alsobought.migrations.files import migrations
from alsobought.pipes.library import Library
from alsobought.project.manifest import read_manifest
from alsobought.project.upgrade import planned
from alsobought.service.ipc_client import is_reachable, reach_warehouse
from alsobought.service.service import open_service
from alsobought.serving.answers import open_library
from alsobought.settings import PREFIX, Settings, deprecations, read_settings
from alsobought.storage.engine_settings import WRITE_SETTINGS
from alsobought.storage.folder_lock import contains_warehouse, folder_of, hint_without_warehouse, holder_of
from alsobought.storage.warehouse import Warehouse
from alsobought.web.server import require_free_port, url
from alsobought.writer.submission import utc_now

TRIED = (26, 9)  # the server's version that chDB brings, and so the one that the tests run on
MANY_PARTS = 300  # of one table; the engine slows inserts down from 1,000


def examine(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Every matter, the quick ones first."""
    settings, faults = read_settings(environ)
    yield Finding("python", "ok", platform.python_version())
    yield from _settings(environ, faults)
    for matter, examination in (("home", _home), ("port", _port), ("disk", _disk)):
        yield from apart(matter, examination, settings)
    found = list(in_own_process("warehouse", _inside, settings))
    yield from found
    if "pipes" not in [finding.matter for finding in found]:  # there is no warehouse that they could be checked against
        yield from in_own_process("pipes", _pipes_in_memory, settings)


# Outside the engine


def _settings(environ: Mapping[str, str], faults: list[str]) -> Iterator[Finding]:
    for fault in faults:
        yield Finding(
            "settings", "fault", fault, "docs/reference/settings.md lists the settings; the default is taken below"
        )
    for warning in deprecations(environ):
        yield Finding("settings", "warning", warning, "The old name will go in a later version")
    if not faults:
        given = sorted(name for name in environ if name.startswith(PREFIX))
        yield Finding("settings", "ok", f"given: {', '.join(given)}" if given else "all are the defaults")


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.home_folder
    counted = []
    for name in ("pipes", "sql/macros", "sql/checks"):
        if not (home / name).is_dir():
            raise Unusable(
                f"there is no folder {name} in {home}",
                "Set ALSOBOUGHT_HOME to the project's folder, or make one with `alsobought init`",
            )
        counted.append(f"{len(list((home / name).glob('*.sql')))} in {name}")
    counted.append(f"{len(migrations(home / 'migrations'))} in migrations")
    yield Finding("home", "ok", f"{home}: {', '.join(counted)}")
    if read_manifest(home):
        yield _project(home)


def _project(home: Path) -> Finding:
    """Whether the package has newer files than the project."""
    plan = planned(home)
    made, package = plan.manifest.version, importlib.metadata.version("alsobought")
    if newer := len(plan.writes):
        found = f"made with {made}; the package, {package}, has {newer} newer file{'s' * (newer > 1)}"
        return Finding(
            "project", "warning", found, "`alsobought upgrade --dry-run` lists them, `alsobought upgrade` takes them"
        )
    return Finding("project", "ok", f"as new as the package, {package}")


def _port(settings: Settings) -> Iterator[Finding]:
    try:
        require_free_port(settings)
    except Unusable:
        if (_ask(settings, "/healthz") or {}).get("status") != "alive":
            raise
        as_of = (_ask(settings, "/readyz") or {}).get("as_of")
        newest = f"its newest event was stored {_ago(str(as_of))}" if as_of else "it is not ready, or has no events"
        yield Finding("port", "ok", f"an alsobought answers on {url(settings)}; {newest}")
    else:
        yield Finding("port", "ok", f"{settings.port} on {settings.host} is free")


def _ask(settings: Settings, path: str) -> dict[str, object] | None:
    """What the service on our port answers; None if that is no service of ours."""
    address = url(settings).removeprefix("http://")
    try:
        connection = http.client.HTTPConnection(address, timeout=3)
        connection.request("GET", path)
        return msgspec.json.decode(connection.getresponse().read(), type=dict[str, object])
    except (OSError, http.client.HTTPException, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = folder_of(settings.warehouse_dsn)
    if folder is None:
        return
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding("disk", "fault", f"the folder {there} cannot be written", "Set ALSOBOUGHT_DATA")
        return
    free = shutil.disk_usage(there).free
    left = f"{free / 1e9:,.1f} GB free for {folder}"
    if free < settings.min_free_bytes:
        advice = f"Nothing is stored below {settings.min_free_bytes / 1e9:,.1f} GB: make room, or set ALSOBOUGHT_MIN_FREE_BYTES"
        yield Finding("disk", "fault", left, advice)
    elif free < 4 * settings.min_free_bytes:
        advice = f"Nothing is stored below {settings.min_free_bytes / 1e9:,.1f} GB: make room in time"
        yield Finding("disk", "warning", left, advice)
    else:
        yield Finding("disk", "ok", left)


# With the engine


def _inside(settings: Settings) -> Iterator[Finding]:
    folder = folder_of(settings.warehouse_dsn)
    holder = holder_of(folder) if folder else ""
    if holder and not is_reachable(settings):
        yield Finding(
            "warehouse", "ok", f"process {holder} holds {folder}; wait for its end to have the tables examined"
        )
        return
    if folder and not contains_warehouse(folder):
        yield Finding("warehouse", "warning", f"there is none in {folder}", hint_without_warehouse(folder))
        return
    if holder:
        yield Finding("warehouse", "ok", f"process {holder} holds {folder} and is asked")
    warehouse = reach_warehouse(settings, create=False, must_exist=False)
    try:
        if not warehouse.shared:
            warehouse.command("system stop merges")  # of this process: the folder stays as it is
        yield from apart("engine", lambda _: _engine(warehouse), settings)
        yield from apart("writing", lambda _: _writing(warehouse), settings)
        steps = list(apart("migrations", lambda _: _migrations(warehouse, settings), settings))
        yield from steps
        if [step.state for step in steps] == ["ok"]:
            yield from apart("pipes", lambda _: _pipes(open_library(settings, warehouse)), settings)
            yield from apart("events", lambda _: _events(warehouse), settings)
            yield from apart("catalogue", lambda _: _catalogue(warehouse), settings)
            yield from apart("kafka", lambda _: _kafka(warehouse, settings), settings)
        yield from apart("parts", lambda _: _parts(warehouse), settings)
    finally:
        warehouse.close()


def _engine(warehouse: Warehouse) -> Iterator[Finding]:
    version = str(warehouse.trusted_rows("select version()").data[0][0])
    if warehouse.embedded:
        yield Finding("engine", "ok", f"chDB {importlib.metadata.version('chdb')}, which is ClickHouse {version}")
    elif tuple(map(int, version.split(".")[:2])) < TRIED:
        advice = f"Tests run on {TRIED[0]}.{TRIED[1]}: use that or a newer one"
        yield Finding("engine", "warning", f"the server is ClickHouse {version}", advice)
    else:
        yield Finding("engine", "ok", f"the server is ClickHouse {version}")


def _writing(warehouse: Warehouse) -> Iterator[Finding]:
    """Whether the settings that every insert is sent with are accepted; a SELECT may carry them as well."""
    clause = ", ".join(f"{name} = {value!r}" for name, value in WRITE_SETTINGS.items())
    warehouse.trusted_rows(f"select 1 settings {clause}")
    yield Finding("writing", "ok", f"the {len(WRITE_SETTINGS)} settings of an insert are accepted")


def _migrations(warehouse: Warehouse, settings: Settings) -> Iterator[Finding]:
    steps = runner.status(warehouse, settings.home_folder / "migrations")
    edited = [step.migration.name for step in steps if step.state == "edited"]
    missing = [step.migration.name for step in steps if step.state not in ("edited", "applied")]
    if edited:
        advice = "Put them back, and write new migrations instead"
        yield Finding("migrations", "fault", f"edited after they were applied: {', '.join(edited)}", advice)
    if missing:
        told = f"{len(missing)} of {len(steps)} are not applied, {missing[0]} is the first"
        yield Finding("migrations", "fault" if warehouse.shared else "warning", told, "Run `alsobought migrate up`")
    if not edited and not missing:
        yield Finding("migrations", "ok", f"all {len(steps)} are applied")


def _pipes(library: Library) -> Iterator[Finding]:
    faults = {name: library.entry(name).fault for name in library.names()}
    for name, fault in faults.items():
        if fault:
            where = f"pipes/{name}.sql" + (f":{fault.line}" if fault.line else "")
            yield Finding("pipes", "fault", f"{where}: {fault.message}", fault.hint)
    if not any(faults.values()):
        yield Finding("pipes", "ok", f"all {len(faults)} are right" if faults else "there are none")


def _pipes_in_memory(settings: Settings) -> Iterator[Finding]:
    shop = open_service(msgspec.structs.replace(settings, dsn="chdb://:memory:", database="checked"))
    try:
        yield from _pipes(shop.library)
    finally:
        shop.close()


def _events(warehouse: Warehouse) -> Iterator[Finding]:
    database = warehouse.database
    sql = f"select count(), toString(max(ingested_at)), (select uniqExact(item_id) from {database}.items) from {database}.events"
    events, newest, items = warehouse.trusted_rows(sql).data[0]
    if not int(events):
        yield Finding("events", "warning", "there are none", "`alsobought load events FILE`, or POST /events")
    else:
        yield Finding("events", "ok", f"{int(events):,}, the newest stored {_ago(newest + '+00:00')}")
    if not int(items):
        advice = "Answers have no titles: `alsobought load items FILE`, or POST /items"
        yield Finding("items", "warning", "there are none", advice)
    else:
        yield Finding("items", "ok", f"{int(items):,}")


def _catalogue(warehouse: Warehouse) -> Iterator[Finding]:
    """Whether the dictionary loads: on a server that is one more log-in, and each event that is stored needs it."""
    warehouse.trusted_rows(f"select dictGetOrDefault('{warehouse.database}.catalogue', 'title', toUInt64(0), '')")
    yield Finding("catalogue", "ok", "the dictionary loads")


def _kafka(warehouse: Warehouse, settings: Settings) -> Iterator[Finding]:
    """How reading stands, if Kafka is to be read."""
    if not settings.kafka:
        return
    found = status(warehouse, settings)
    if found.without_kafka:
        yield Finding("kafka", "fault", found.without_kafka)
    for alarm in found.alarms:
        yield Finding("kafka", "fault", alarm, "`alsobought ingest --status` tells more")
    if found.dead_letters:
        advice = "`alsobought dead-letters ls` shows them"
        yield Finding("kafka", "warning", f"{found.dead_letters:,} messages could not be stored", advice)
    if found.lag is not None and not found.alarms:
        waiting = (
            f"{found.lag:,} messages wait at {settings.kafka}" if found.lag else f"all of {settings.kafka} is read"
        )
        yield Finding("kafka", "ok", waiting)


def _parts(warehouse: Warehouse) -> Iterator[Finding]:
    sql = (
        "select table, count() as parts from system.parts where database = {database:String} and active"
        " group by table, partition order by parts desc, table limit 1"
    )
    given = {"database": warehouse.database}
    rows = warehouse.trusted_rows(sql, given).data
    table, parts = (str(rows[0][0]), int(rows[0][1])) if rows else ("no table", 0)
    found = f"{table} has the most: {parts:,}"
    if parts > MANY_PARTS:
        yield Finding("parts", "warning", found, "Merges lag behind: send larger batches, or give the engine time")
    else:
        yield Finding("parts", "ok", found)
    sql = (
        "select table, count() from system.detached_parts where database = {database:String} and startsWith(reason, 'broken')"
        " group by table order by table"
    )
    for table, broken in warehouse.trusted_rows(sql, given).data:
        advice = "`alsobought check` says which counts are wrong"
        yield Finding("parts", "fault", f"{broken} of {table} could not be read and were set aside", advice)


def _ago(time: str) -> str:
    """`2026-01-01T12:00:00Z` as the time that has passed."""
    return ago((utc_now() - datetime.fromisoformat(time)).total_seconds())
