"""A pipe is asked the questions of a task, with the clock at the split.

What a reader would guess wrong: the same question is asked once, however many have it; questions of a pipe with a key go
many in one query, as the service does it; and what a task forbids is left out here only where the pipe cannot be told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alsobought.errors import Unusable
from alsobought.evaluation.tasks import ALSO_BOUGHT, NOVEL, Query
from alsobought.pipes.fallbacks import ITEM_COLUMNS
from alsobought.pipes.library import SOURCE, Library, Pipe
from alsobought.serving.answers import Answer, answer
from alsobought.storage.warehouse import Warehouse

TOGETHER = 64  # keys of one query
ALONE = 100  # questions that are asked one at a time before, so that their time is that of one
USER, ITEM, LIMIT = "user_id", "item_id", "limit"
HISTORY = ("exclude_history", "leave_out")  # what a pipe may call it; leave_out in pipes of older projects


@dataclass
class Asked:
    """The lists of a pipe, one for each question, and the seconds of each answer to a single one.

    `filled`: how many of the lists another pipe answered, in part or whole.
    """

    lists: list[list[str]]
    seconds: list[float] = field(default_factory=list)
    filled: int = 0


@dataclass(frozen=True)
class Form:
    """How a pipe is asked in a task: `by` is the parameter that differs from question to question, "" if none does."""

    pipe: Pipe
    by: str
    given: Mapping[str, list[Any]]
    length: int
    most: int | None

    @property
    def together(self) -> bool:
        return bool(self.by) and self.pipe.header.key == self.by

    def subject(self, query: Query) -> str:
        return {USER: query.user, ITEM: query.shown}.get(self.by, "")


def form(pipe: Pipe, task: str, k: int, given: Mapping[str, Sequence[Any]]) -> Form:
    """Raises Unusable for a pipe that cannot be asked this."""
    known = {parameter.name: parameter for parameter in pipe.parameters}
    by = ITEM if task == ALSO_BOUGHT else USER
    other = USER if by == ITEM else ITEM
    if other in known and known[other].required and other not in given:
        better = "next" if by == ITEM else ALSO_BOUGHT
        raise Unusable(
            f"the pipe {pipe.name} must be told {other}, which a question of --task {task} does not have",
            f"Take --task {better}, or --set {other}=…",
        )
    if not any(name in ITEM_COLUMNS for name, _ in pipe.columns):
        raise Unusable(f"the pipe {pipe.name} answers with no items: it has no column {' or '.join(ITEM_COLUMNS)}")
    current = {former: name for name, parameter in known.items() for former in parameter.former_names}
    told = {current.get(name, name): list(values) for name, values in given.items() if pipe.accepts(name)}
    history = next((name for name in HISTORY if name in known), "")
    if history and task != ALSO_BOUGHT:
        told.setdefault(history, ["bought" if task == NOVEL else "nothing"])
    most = None
    if LIMIT in known:
        most = known[LIMIT].bounds()[1]
        told.setdefault(LIMIT, [min(k, most)])
        most = None if LIMIT in given else most
    return Form(pipe, by if by in known and by not in given else "", told, k, most)


def ask(
    library: Library,
    warehouse: Warehouse,
    how: Form,
    queries: Sequence[Query],
    now: datetime,
    told: Callable[[int], object],
) -> Asked:
    """The lists of a pipe. `told` hears of each question that is answered.

    Raises what an answer raises.
    """
    asking = _Asking(library, warehouse, how, now)
    subjects = list(dict.fromkeys(how.subject(query) for query in queries))
    first, rest = (subjects[:ALONE], subjects[ALONE:]) if how.together else (subjects, [])
    for subject in first:
        started = time.perf_counter()
        asking.ask([subject], {})
        asking.seconds.append(time.perf_counter() - started)
        told(1)
    for at in range(0, len(rest), TOGETHER):
        asking.ask(rest[at : at + TOGETHER], {})
        told(len(rest[at : at + TOGETHER]))
    lists = [asking.list_of(query) for query in queries]
    filled = sum(how.subject(query) in asking.filled for query in queries)
    return Asked(lists, asking.seconds, filled)


class _Asking:
    def __init__(self, library: Library, warehouse: Warehouse, how: Form, now: datetime) -> None:
        self.library, self.warehouse, self.how, self.now = library, warehouse, how, now
        self.known: dict[str, list[str]] = {}
        self.longer: dict[str, list[str]] = {}
        self.filled: set[str] = set()
        self.seconds: list[float] = []

    def ask(self, subjects: Sequence[str], more: Mapping[str, list[Any]]) -> None:
        """Fills `known`, or `longer` where more is asked for."""
        how, into = self.how, self.longer if more else self.known
        given = {**how.given, **more, **({how.by: list(subjects)} if how.by else {})}
        found = answer(self.library, self.warehouse, how.pipe.name, given, self.now)
        into.update({subject: [] for subject in subjects})
        for key, item, filled in _rows(found, how.by if how.together else ""):
            subject = key if how.together else subjects[0]
            into[subject].append(item)
            if filled:
                self.filled.add(subject)

    def list_of(self, query: Query) -> list[str]:
        """What may be shown of an answer; a longer answer where the task forbids some of it."""
        subject, how = self.how.subject(query), self.how
        items = self.known[subject]
        allowed = [item for item in items if item not in query.forbidden]
        if len(allowed) < len(items) and len(allowed) < how.length and how.most:
            if subject not in self.longer:
                self.ask([subject], {LIMIT: [min(how.most, how.length + len(query.forbidden))]})
            allowed = [item for item in self.longer[subject] if item not in query.forbidden]
        return allowed[: how.length]


def _rows(found: Answer, key: str) -> list[tuple[str, str, bool]]:
    """Of each row the value of the key, the item it shows, and whether another pipe than the asked one gave it."""
    names = [column.name for column in found.meta]
    shown = next(names.index(name) for name in ITEM_COLUMNS if name in names)
    keyed = names.index(key) if key else None
    source = names.index(SOURCE) if found.pipe.adds_source else None
    return [
        (
            str(row[keyed]) if keyed is not None else "",
            str(row[shown]),
            source is not None and row[source] != found.pipe.name,
        )
        for row in found.data
        if row[shown] is not None
    ]
