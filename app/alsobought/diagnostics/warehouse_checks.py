"""Checks with the engine: its version and settings, migrations, pipes, rows, Kafka progress and parts.

Where a running service holds the data folder, its process executes the queries.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterable, Iterator

import msgspec

from alsobought.diagnostics.access_checks import check_access
from alsobought.diagnostics.bot_checks import check_bots, check_users
from alsobought.diagnostics.data_checks import (
    check_categories,
    check_filled,
    check_rejected,
    check_rows,
    check_unknown_items,
    check_user_attributes,
)
from alsobought.diagnostics.experiment_checks import check_experiments
from alsobought.diagnostics.findings import Finding
from alsobought.diagnostics.isolation import run_check
from alsobought.diagnostics.placeholder_checks import check_placeholders
from alsobought.kafka.ingest_status import status
from alsobought.migrations import runner
from alsobought.pipes.library import Library
from alsobought.service.ipc_client import is_reachable, reach_warehouse
from alsobought.service.remedies import Remedies
from alsobought.service.service import open_service
from alsobought.serving.answers import open_library
from alsobought.settings import Settings
from alsobought.storage.engine_settings import WRITE_SETTINGS
from alsobought.storage.folder_lock import contains_warehouse, folder_of, hint_without_warehouse, holder_of
from alsobought.storage.part_checks import BrokenPart, check_parts
from alsobought.storage.topology import node_settings
from alsobought.storage.warehouse import Warehouse
from alsobought.surfaces.live import LiveSurfaces

TESTED_SERVER = (26, 9)  # the version that chDB contains, and so the one that the tests run on
MAX_READING_SECONDS = 20  # of a check of all bytes
MAX_PARTS = 300  # active parts of one table; the engine delays inserts from 1,000 on


def check_warehouse(settings: Settings) -> Iterator[Finding]:
    """All checks of one warehouse. Without applied migrations, those that read its tables are skipped."""
    folder = folder_of(settings.warehouse_dsn)
    holder = holder_of(folder) if folder else ""
    if holder and not is_reachable(settings):
        yield Finding("warehouse", "ok", f"process {holder} holds {folder}; to check the tables, wait until it ends")
        return
    if folder and not contains_warehouse(folder):
        yield Finding("warehouse", "warning", f"there is none in {folder}", hint_without_warehouse(folder))
        return
    if holder:
        yield Finding("warehouse", "ok", f"process {holder} holds {folder} and answers the queries")
    warehouse = reach_warehouse(settings, create=False, must_exist=False)
    try:
        if not warehouse.shared:
            warehouse.command("system stop merges")  # in this process only: the folder stays unchanged
        findings = list(check_node(warehouse, settings))
        yield from findings
        if is_migrated(findings):
            yield from check_shop(warehouse, settings)
        yield from run_check("parts", lambda _: check_bytes(warehouse, settings), settings)
    finally:
        warehouse.close()


def check_node(warehouse: Warehouse, settings: Settings) -> Iterator[Finding]:
    """The checks of one server: of a cluster, each shard is one."""
    yield from run_check("engine", lambda _: check_engine(warehouse), settings)
    yield from run_check("writing", lambda _: check_write_settings(warehouse), settings)
    findings = list(run_check("migrations", lambda _: check_migrations(warehouse, settings), settings))
    yield from findings
    if is_migrated(findings):
        yield from run_check("catalogue", lambda _: check_catalogue(warehouse), settings)
        yield from run_check("counts", lambda _: check_filled(warehouse), settings)
    yield from run_check("parts", lambda _: check_merges(warehouse), settings)


def is_migrated(findings: Iterable[Finding]) -> bool:
    """True if the tables that other checks read are there."""
    return [finding.state for finding in findings if finding.check == "migrations"] == ["ok"]


def check_shop(warehouse: Warehouse, settings: Settings) -> Iterator[Finding]:
    """The checks of what a shop has: pipes, keys, rows and Kafka's progress."""
    yield from run_check("pipes", lambda _: check_library(open_library(settings, warehouse)), settings)
    yield from run_check("access", lambda _: check_access(warehouse, settings), settings)
    yield from run_check("experiments", lambda _: check_experiments(warehouse), settings)
    yield from run_check("events", lambda _: check_rows(warehouse), settings)
    yield from run_check("placeholders", lambda _: check_placeholders(warehouse, settings.home_folder), settings)
    yield from run_check("bots", lambda _: check_bots(warehouse, settings), settings)
    yield from run_check("users", lambda _: check_users(warehouse), settings)
    yield from run_check("attributes", lambda _: check_user_attributes(warehouse), settings)
    yield from run_check("catalogue", lambda _: check_unknown_items(warehouse, settings), settings)
    yield from run_check("rejected", lambda _: check_rejected(warehouse), settings)
    yield from run_check("categories", lambda _: check_categories(warehouse), settings)
    yield from run_check("kafka", lambda _: check_kafka(warehouse, settings), settings)


def check_engine(warehouse: Warehouse) -> Iterator[Finding]:
    version = str(warehouse.trusted_rows("select version()").data[0][0])
    if warehouse.embedded:
        yield Finding("engine", "ok", f"chDB {importlib.metadata.version('chdb')}, which is ClickHouse {version}")
    elif tuple(map(int, version.split(".")[:2])) < TESTED_SERVER:
        advice = f"Use {TESTED_SERVER[0]}.{TESTED_SERVER[1]} or newer: the tests run on that"
        yield Finding("engine", "warning", f"the server is ClickHouse {version}", advice)
    else:
        yield Finding("engine", "ok", f"the server is ClickHouse {version}")


def check_write_settings(warehouse: Warehouse) -> Iterator[Finding]:
    """The engine accepts the settings of an insert. A SELECT carries them, so nothing is written."""
    clause = ", ".join(f"{name} = {value!r}" for name, value in WRITE_SETTINGS.items())
    warehouse.trusted_rows(f"select 1 settings {clause}")
    yield Finding("writing", "ok", f"the engine accepts the {len(WRITE_SETTINGS)} settings of an insert")


def check_migrations(warehouse: Warehouse, settings: Settings) -> Iterator[Finding]:
    steps = runner.status(warehouse, settings.home_folder / "migrations")
    edited = [step.migration.name for step in steps if step.state == "edited"]
    pending = [step.migration.name for step in steps if step.state not in ("edited", "applied")]
    if edited:
        advice = "Restore them, and write new migrations instead"
        yield Finding("migrations", "fault", f"edited after they were applied: {', '.join(edited)}", advice)
    if pending:
        message = f"{len(pending)} of {len(steps)} are not applied, {pending[0]} is the first"
        yield Finding("migrations", "fault" if warehouse.shared else "warning", message, "Run `alsobought migrate up`")
    if not edited and not pending:
        yield Finding("migrations", "ok", f"all {len(steps)} are applied")


def check_library(library: Library) -> Iterator[Finding]:
    yield from check_pipes(library)
    yield from check_surfaces(library)


def check_pipes(library: Library) -> Iterator[Finding]:
    faults = {name: library.entry(name).fault for name in library.names()}
    for name, fault in faults.items():
        if fault:
            location = f"pipes/{name}.sql" + (f":{fault.line}" if fault.line else "")
            yield Finding("pipes", "fault", f"{location}: {fault.message}", fault.hint)
    if not any(faults.values()):
        yield Finding("pipes", "ok", f"all {len(faults)} are valid" if faults else "there are none")


def check_surfaces(library: Library) -> Iterator[Finding]:
    """Surfaces and experiments, against the pipes that there are."""
    live = LiveSurfaces(library.folder.parent, library)
    for name, faults in live.checked().items():
        for fault in faults:
            yield Finding("surfaces", "fault", f"sql/{name}:{fault.line}: {fault.message}", fault.hint)
    if not live.faults:
        surfaces, experiments = len(live.current().surfaces), len(live.current().experiments.by_name)
        yield Finding("surfaces", "ok", f"{surfaces} surfaces and {experiments} experiments are valid")


def check_pipes_in_memory(settings: Settings) -> Iterator[Finding]:
    """The pipes against an empty warehouse, for an installation that has none yet."""
    service = open_service(msgspec.structs.replace(node_settings(settings, "chdb://:memory:"), database="checked"))
    try:
        yield from check_library(service.library)
    finally:
        service.close()


def check_catalogue(warehouse: Warehouse) -> Iterator[Finding]:
    """The dictionary loads. A server logs in to itself for that, and storing an event needs it."""
    warehouse.trusted_rows(f"select dictGetOrDefault('{warehouse.database}.catalogue', 'title', toUInt64(0), '')")
    yield Finding("catalogue", "ok", "the dictionary loads")


def check_kafka(warehouse: Warehouse, settings: Settings) -> Iterator[Finding]:
    """Topics, alarms, dead letters and lag; nothing where Kafka is not used."""
    if not settings.kafka:
        return
    progress = status(warehouse, settings)
    if progress.without_kafka:
        yield Finding("kafka", "fault", progress.without_kafka)
    for alarm in progress.alarms:
        is_halt = progress.halt is not None and alarm == progress.halt.reason
        advice = progress.halt.hint if progress.halt and is_halt else "`alsobought ingest --status` has the details"
        yield Finding("kafka", "fault", alarm, advice)
    if progress.dead_letters:
        advice = "`alsobought dead-letters ls` lists them"
        yield Finding("kafka", "warning", f"{progress.dead_letters:,} messages could not be stored", advice)
    if progress.lag is not None and not progress.alarms:
        message = (
            f"{progress.lag:,} messages wait at {settings.kafka}" if progress.lag else f"no lag at {settings.kafka}"
        )
        yield Finding("kafka", "ok", message)


def check_merges(warehouse: Warehouse) -> Iterator[Finding]:
    """Merges keep up."""
    sql = (
        "select table, count() as parts from system.parts where database = {database:String} and active"
        " group by table, partition order by parts desc, table limit 1"
    )
    parameters = {"database": warehouse.database}
    rows = warehouse.trusted_rows(sql, parameters).data
    table, parts = (str(rows[0][0]), int(rows[0][1])) if rows else ("no table", 0)
    message = f"{table} has the most: {parts:,}"
    if parts > MAX_PARTS:
        yield Finding("parts", "warning", message, "Merges lag behind: send larger batches, or give the engine time")
    else:
        yield Finding("parts", "ok", message)


def check_bytes(warehouse: Warehouse, settings: Settings) -> Iterator[Finding]:
    """The bytes of all parts are as the engine wrote them. Of an embedded warehouse only: a server checks its own."""
    if folder_of(settings.warehouse_dsn) is None:
        return
    started, broken, complete = time.monotonic(), list[BrokenPart](), True

    def stop_when_late() -> None:
        if time.monotonic() - started > MAX_READING_SECONDS:
            raise _Late

    try:
        broken.extend(check_parts(warehouse, stop_when_late))
    except _Late:
        complete = False
    remedies = Remedies.of(warehouse, settings.home_folder) if broken else Remedies()
    for part in broken:
        yield Finding("parts", "fault", part.message, remedies.advice(part.table))
    if not complete:
        message = f"read for {MAX_READING_SECONDS} s, not to the end"
        yield Finding("parts", "ok", message, "`alsobought repair --dry-run` reads all; the service does each day")
    elif not broken:
        yield Finding("parts", "ok", f"all are as they were written; read in {time.monotonic() - started:.1f} s")


class _Late(Exception):
    """The warehouse is too large to be read while somebody waits."""
