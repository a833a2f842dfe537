"""Find damaged parts and mend them: the events and records first, from a backup, then the tables that are made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from alsobought.backup.repair import find_replacement, put_back, table_folder
from alsobought.backup.restore import manifests_of
from alsobought.backup.store import Store
from alsobought.counts.rebuild import ProgressBar, ServiceHandle, rebuild
from alsobought.counts.rebuild_tasks import RebuildPlan
from alsobought.errors import AlsoboughtError
from alsobought.service.maintenance import finish_serving_tables
from alsobought.service.remedies import Remedies
from alsobought.storage.part_checks import BrokenPart


@dataclass(frozen=True)
class Mended:
    """What was done about a damaged part or table; `left` is why nothing could be."""

    what: str
    how: str = ""
    left: str = ""


def mend(
    service: ServiceHandle, broken: Sequence[BrokenPart], store: Callable[[], Store], home: Path, bar: ProgressBar
) -> Iterator[Mended]:
    """Mends what it can. `store` opens the backups, if they are needed."""
    remedies = Remedies.of(service.warehouse, home)
    for part in broken:
        if remedies.needs_backup(part.table):
            yield _from_backup(service, part, store)
    tables = {part.table for part in broken}
    counts = sorted(tables & remedies.counts)
    for fields in service.do("plan a rebuild", counts, "") if counts else []:
        plan = msgspec.convert(fields, RebuildPlan)
        done = rebuild(service, plan, bar)
        yield Mended(plan.table, f"rebuilt from {done.events:,} events in {done.seconds:.1f} s")
    if serving := sorted(tables & remedies.serving):
        service.do("make serving tables", serving)
    finish_serving_tables(service.do, lambda title, total, _unit: bar(title, total))
    yield from (Mended(table, "made again from the count tables") for table in serving)
    for table in sorted(tables & remedies.learners.keys()):
        yield Mended(table, left=remedies.advice(table))
    for table in sorted(tables - {part.table for part in broken if remedies.needs_backup(part.table)}):
        if table not in remedies.counts | remedies.serving and table not in remedies.learners:
            yield Mended(table, left=f"nothing relies on it: `truncate table {service.warehouse.database}.{table}`")


def _from_backup(service: ServiceHandle, part: BrokenPart, store: Callable[[], Store]) -> Mended:
    try:
        backups = store()
        folder = table_folder(service.settings, service.warehouse, part.table)
        replacement = find_replacement(part, folder, manifests_of(backups))
        if replacement is None:
            reason = "no backup has all its rows as they were"
            return Mended(part.where, left=f"{reason}: restore the newest backup whole with `alsobought restore`")
        rows = put_back(service.settings, service.warehouse, service.do, backups, replacement)
        return Mended(part.where, f"{rows:,} rows put back from backup {replacement.manifest.id}")
    except AlsoboughtError as error:
        return Mended(part.where, left=str(error))
