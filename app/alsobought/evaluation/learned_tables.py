"""Learn the tables that pipes read, from the events before the split; once for a replay, also a kept one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

import alsobought.learning
from alsobought.errors import AlsoboughtError, Unusable
from alsobought.evaluation.replay import LEARNED_FILE, Progress, Replay
from alsobought.learning.context import Context
from alsobought.learning.registry import learn, learners_of
from alsobought.pipes.library import Library, Pipe
from alsobought.service.maintenance import finish_serving_tables
from alsobought.storage.serving_tables import serving_tables, with_sources


def learn_tables(pipes: Sequence[Pipe], replay: Replay, progress: Progress) -> dict[str, str]:
    """Learns what these pipes and their fallbacks read, if this replay does not have it yet.

    Returns the summary or the error of each learner. After an error its tables are empty, as they would be in the shop.
    """
    service, now, home = replay.service, replay.log.split.train_before, replay.service.settings.home_folder
    tables = {table for pipe in pipes for member in with_fallbacks(pipe, service.library) for table in member.tables}

    def exchange(table: str, replacement: str) -> None:
        service.do("swap in a learned table", table, replacement)

    context = Context(service.warehouse, home, now, progress, exchange)
    version, summaries, learned_now = learning_version(home), {}, False
    for learner in learners_of(with_sources(tables, serving_tables(home, service.warehouse.database))):
        key = f"{learner.name} {version}"
        if key not in replay.learned:
            try:
                line = learn(learner.name, context).line
            except Unusable as error:
                summaries[learner.name] = str(error)
                continue
            replay.learned[key], learned_now = line, True
        summaries[learner.name] = replay.learned[key]
    if learned_now:
        finish_serving_tables(service.do, progress)
        if replay.folder:
            (replay.folder / LEARNED_FILE).write_bytes(msgspec.json.encode(replay.learned))
    return summaries


def learning_version(home: Path) -> str:
    """A hash of the learners and their queries."""
    code = sorted(path for folder in alsobought.learning.__path__ for path in Path(folder).glob("*.py"))
    queries = sorted(path for name in ("learn", "macros") for path in (home / "sql" / name).glob("*.sql"))
    digest = hashlib.sha256()
    for path in (*code, *queries):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def with_fallbacks(pipe: Pipe, library: Library) -> list[Pipe]:
    pipes = [pipe]
    while (fallback := pipes[-1].header.fallback) and fallback.pipe not in [member.name for member in pipes]:
        try:
            pipes.append(library[fallback.pipe])
        except AlsoboughtError:
            break  # a broken fallback fills nothing
    return pipes
