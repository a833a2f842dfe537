"""The lists of every pipe and baseline for the queries of a task; one that fails does not take the others with it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from alsobought.errors import AlsoboughtError
from alsobought.evaluation.baselines.registry import Baseline, TooFewRows
from alsobought.evaluation.learned_tables import learn_tables, learning_version, with_fallbacks
from alsobought.evaluation.pipe_queries import PipeBinding, run_queries
from alsobought.evaluation.replay import Progress, Replay
from alsobought.evaluation.report import SystemLists
from alsobought.evaluation.results import Results, SavedSystem, result_key
from alsobought.evaluation.tasks import Query

BATCH_QUERIES = 512  # of a baseline


@dataclass(frozen=True)
class Job:
    """What is asked of every system."""

    replay: Replay
    queries: Sequence[Query]
    task: str
    k: int
    progress: Progress


@dataclass
class Measured:
    """The lists by system, the summary of each learner, and the reasons why other systems have no lists."""

    lists: dict[str, SystemLists] = field(default_factory=dict)
    learned: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def measure(job: Job, systems: Mapping[str, PipeBinding | Baseline], results: Results) -> Measured:
    """Saves the lists of each system when they are done; those of an earlier run are not made again."""
    measured = Measured()
    for name, system in systems.items():
        key = _key(job, name, system)
        if saved := results.earlier(key) or _run(job, name, key, system, measured):
            measured.lists[name] = saved.system
            measured.learned |= saved.learned
            results.add(saved, job.queries)
    return measured


def _run(job: Job, name: str, key: str, system: PipeBinding | Baseline, measured: Measured) -> SavedSystem | None:
    """None for a system that fails; the reason is then in `measured`."""
    try:
        if isinstance(system, PipeBinding):
            learned = learn_tables([system.pipe], job.replay, job.progress)
            return SavedSystem(key, _run_pipe(job, system), learned)
        return SavedSystem(key, _run_baseline(job, name, system))
    except TooFewRows as error:
        measured.skipped[name] = str(error)
    except AlsoboughtError as error:
        measured.failed[name] = str(error)
    except Exception as error:
        measured.failed[name] = f"{type(error).__name__}: {error}"
    return None


def _run_pipe(job: Job, binding: PipeBinding) -> SystemLists:
    started = time.monotonic()
    service, distinct = job.replay.service, len({binding.subject(query) for query in job.queries})
    with job.progress(f"Querying {binding.pipe.name}", distinct, "queries") as advance:
        now = job.replay.log.split.train_before
        result = run_queries(service.library, service.warehouse, binding, job.queries, now, advance)
    seconds = time.monotonic() - started
    return SystemLists(binding.pipe.name, True, result.lists, result.seconds, result.filled, seconds)


def _run_baseline(job: Job, name: str, baseline: Baseline) -> SystemLists:
    started = time.monotonic()
    lists: list[list[str]] = []
    with job.progress(f"Training {name}", 1, "models"):
        baseline.fit(job.replay.log.past, job.replay.items, job.task)
    with job.progress(f"Querying {name}", len(job.queries), "queries") as advance:
        for start in range(0, len(job.queries), BATCH_QUERIES):
            batch = job.queries[start : start + BATCH_QUERIES]
            lists += baseline.recommend(batch, job.k)
            advance(len(batch))
    return SystemLists(name, False, lists, [], 0, time.monotonic() - started)


def _key(job: Job, name: str, system: PipeBinding | Baseline) -> str:
    """A hash of all that the lists of a system depend on: log, queries, and the pipe with its fallbacks, or the baseline."""
    replay = job.replay
    queries = [(query.user, query.before, query.shown, sorted(query.forbidden)) for query in job.queries]
    content = {"name": name, "log": replay.key, "type": replay.log.event_type, "task": job.task, "k": job.k}
    content["queries"] = queries
    if isinstance(system, PipeBinding):
        library, home = replay.service.library, replay.service.settings.home_folder
        pipes = [(pipe.name, pipe.version) for pipe in with_fallbacks(system.pipe, library)]
        content |= {"pipes": pipes, "parameters": dict(system.parameters), "learning": learning_version(home)}
    else:
        content["code"] = _code_version()
    return result_key(**content)


@cache
def _code_version() -> str:
    """A hash of the baselines."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parent / "baselines").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
