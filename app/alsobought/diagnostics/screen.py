"""An overview as lines of a terminal of any size: one column on a narrow one, two on a wide one."""

from __future__ import annotations

from collections.abc import Sequence

from rich.filesize import decimal
from rich.text import Text

from alsobought.console import ago
from alsobought.diagnostics.overview import LaneLoad, Overview, PipeLoad

WIDE = 120
GAP = 3
LABEL = 10
PIPES = 5  # at least
SLOWEST = {False: 4, True: 12}  # on a wide terminal
NAMES = 3  # of reasons and tables on a narrow one
HIGH = 0.9  # share of a limit that is shown in red
SLOW_SECONDS = 1.0


def lines(seen: Overview, url: str, note: str, width: int, height: int) -> list[Text]:
    """At most `height` lines of at most `width` cells; `note` is the last one."""
    head, foot = [_header(seen, url), Text()], [Text(note, "dim")]
    room = height - len(head) - len(foot)
    if width < WIDE:
        facts = [*_facts(seen, NAMES), _lanes_line(seen)]
        slowest = _slowest(seen, SLOWEST[False])
        pipes = _pipes(seen, max(PIPES, room - len(facts) - len(slowest) - 2 - bool(slowest)))
        body = [*facts, Text(), *pipes, *([Text()] if slowest else []), *slowest]
    else:
        half = (width - GAP) // 2
        left = [*_facts(seen, 2 * NAMES), Text(), *_lanes(seen.lanes), Text(), *_ages(seen)]
        slowest = _slowest(seen, SLOWEST[True])
        right = [*_pipes(seen, max(PIPES, room - len(slowest) - 2)), Text(), *slowest]
        body = _beside(left, right, half, room)
    shown = [*head, *body[: max(0, room)], *foot]
    for line in shown:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return shown


def _beside(left: Sequence[Text], right: Sequence[Text], half: int, room: int) -> list[Text]:
    rows = []
    for number in range(min(room, max(len(left), len(right)))):
        line = left[number].copy() if number < len(left) else Text()
        line.truncate(half, overflow="ellipsis", pad=True)
        rows.append(line + Text(" " * GAP) + (right[number] if number < len(right) else Text()))
    return rows


def _header(seen: Overview, url: str) -> Text:
    state = Text("ready", "green") if seen.ready else Text("NOT READY", "bold red")
    if seen.ready is None:
        state = Text("running", "green")
    line = Text.assemble((f"Alsobought {seen.version}", "bold"), f"  {url}  ", state)
    if seen.uptime is not None:
        line.append(f"  up {_duration(seen.uptime)}")
    if seen.writer_running is False:
        line.append("  the writer has stopped", "bold red")
    if seen.alarms:
        line.append(f"  {seen.alarms:.0f} alarms: see the log", "bold red")
    return line


def _fact(label: str, *parts: Text | str) -> Text:
    line = Text(f"{label:{LABEL}}", "bold")
    shown = [part if isinstance(part, Text) else Text(part) for part in parts if part]
    return line + Text("   ").join(part if part.style else Text.assemble((part.plain, "not bold")) for part in shown)


def _facts(seen: Overview, names: int) -> list[Text]:
    hits = "" if seen.cache_hits is None else f"{100 * seen.cache_hits:.0f} % from the cache"
    facts = [
        _fact(
            "requests",
            f"{_rate(seen.requests_per_second)}/s",
            hits,
            _alarming(seen.errors_per_second, f"{_rate(seen.errors_per_second)} errors/s"),
        ),
        _fact(
            "posts",
            f"{_rate(seen.posts_per_second)}/s",
            f"{_rate(seen.events_per_second)} events/s",
            _newest(seen),
            _waiting(seen),
        ),
    ]
    if seen.kafka_per_second is not None:
        lag = "" if seen.kafka_lag is None else f"lag {seen.kafka_lag:,.0f} messages"
        letters = _alarming(seen.dead_letters or 0, f"{seen.dead_letters or 0:,.0f} dead letters")
        facts.append(_fact("Kafka", f"{_rate(seen.kafka_per_second)} messages/s", lag, letters))
    engine = "" if seen.engine_memory is None else f"ClickHouse {decimal(int(seen.engine_memory))}"
    facts.append(_fact("memory", _of(seen.memory, seen.memory_limit), engine, _cache(seen)))
    facts.append(_fact("disk", *_disk(seen)))
    facts.append(
        _fact(
            "queries",
            f"{seen.queries.get('running', 0):.0f} run",
            f"{seen.queries.get('waiting', 0):.0f} wait",
            f"{seen.connections.get('active', 0):,.0f} active connections, {seen.connections.get('idle', 0):,.0f} idle",
        )
    )
    facts.append(_fact("upkeep", _backup(seen), _oldest(seen), *_pipe_states(seen)))
    facts.append(_fact("rejected", _listed(seen.rejected, names) or "nothing"))
    unserved = {f"status {status}": count for status, count in seen.turned_away.items()} | seen.ended_connections
    if any(unserved.values()):
        facts.append(_fact("refused", _listed(unserved, names)))
    return facts


def _newest(seen: Overview) -> str:
    return "" if seen.newest_event_age is None else f"newest {ago(seen.newest_event_age)}"


def _waiting(seen: Overview) -> Text | str:
    if seen.waiting_rows is None:
        return ""
    text = f"{seen.waiting_rows:,.0f} wait"
    return Text(text, "red") if seen.queue_rows and seen.waiting_rows > HIGH * seen.queue_rows else text


def _cache(seen: Overview) -> str:
    if not seen.cache_answers:
        return ""
    return f"cache {decimal(int(seen.cache_bytes or 0))}"


def _of(value: float | None, limit: float | None) -> Text | str:
    if value is None:
        return ""
    if not limit:
        return decimal(int(value))
    text = f"{decimal(int(value))} of {decimal(int(limit))}"
    return Text(text, "red") if value > HIGH * limit else text


def _disk(seen: Overview) -> list[Text | str]:
    if seen.disk_free is None:
        return ["unknown"]
    free = f"{decimal(int(seen.disk_free))} free"
    full = bool(seen.disk_min_free and seen.disk_free < seen.disk_min_free)
    broken = seen.broken_parts or 0
    return [
        Text(f"{free}: too little, nothing is stored", "bold red") if full else free,
        "" if seen.warehouse is None else f"the warehouse has {decimal(int(seen.warehouse))}",
        Text(f"{broken:.0f} damaged parts", "bold red") if broken else "",
    ]


def _backup(seen: Overview) -> Text | str:
    if seen.backup_failed:
        return Text("the last backup failed", "bold red")
    return "no backup by this service" if seen.backup_age is None else f"backup {ago(seen.backup_age)}"


def _oldest(seen: Overview) -> str:
    if not seen.learned:
        return "nothing learned"
    name, age = next(iter(seen.learned.items()))
    return f"oldest learned: {name} {ago(age)}"


def _pipe_states(seen: Overview) -> list[Text | str]:
    states = {state: seen.pipe_states.get(state, 0) for state in ("broken", "stale")}
    return [Text(f"{number:.0f} {state} pipes", "red") for state, number in states.items() if number]


def _listed(counts: dict[str, float], most: int) -> str:
    some = [f"{name} {count:,.0f}" for name, count in list(counts.items())[:most] if count]
    return "   ".join(some) + (f"   and {len(counts) - most} more" if len(counts) > most else "")


def _lanes_line(seen: Overview) -> Text:
    some = [f"{lane.name} {lane.running:.0f}+{lane.waiting:.0f}/{lane.threads:.0f}" for lane in seen.lanes]
    return _fact("lanes", "  ".join(some)) if some else _fact("lanes", "none")


def _lanes(lanes: Sequence[LaneLoad]) -> list[Text]:
    head = f"{'lane':14}{'running':>8}{'waiting':>9}{'threads':>9}{'wait p99':>10}"
    rows = [
        Text(
            f"{lane.name:14}{lane.running:>8.0f}{lane.waiting:>9.0f}{lane.threads:>9.0f}{_ms(lane.wait_p99):>10}",
            "yellow" if lane.waiting else "",
        )
        for lane in lanes
    ]
    return [Text(head, "dim"), *rows]


def _ages(seen: Overview) -> list[Text]:
    rows = [Text(f"{name:14}{ago(age)}") for name, age in seen.learned.items()]
    return [Text("learned tables", "dim"), *rows] if rows else []


def _pipes(seen: Overview, most: int) -> list[Text]:
    head = Text(f"{'pipe':24}{'req/s':>8}{'p50':>9}{'p99':>9}{'errors':>8}{'slowest 5 min':>15}", "dim")
    return (
        [head, *[_pipe(pipe) for pipe in seen.pipes[:most]]]
        if seen.pipes
        else [head, Text("no pipe was asked yet", "dim")]
    )


def _pipe(pipe: PipeLoad) -> Text:
    name = pipe.name if len(pipe.name) < 24 else pipe.name[:22] + "…"
    line = Text(
        f"{name:24}{_rate(pipe.per_second):>8}{_ms(pipe.p50):>9}{_ms(pipe.p99):>9}", "" if pipe.per_second else "dim"
    )
    line.append(f"{pipe.errors:>8,.0f}", "red" if pipe.errors else "")
    line.append(f"{_ms(pipe.slowest):>15}", "yellow" if (pipe.slowest or 0) >= SLOW_SECONDS else "")
    return line


def _slowest(seen: Overview, most: int) -> list[Text]:
    """The slowest requests, where the table `requests` can be read."""
    if not seen.slowest:
        return []
    head = Text(f"{'slowest, 5 min':24}{'took':>8}  {'at':8}  {'rows read':>12}  request", "dim")
    rows = [
        Text(f"{one.pipe[:23]:24}{_ms(one.seconds):>8}  {one.time[11:19]}  {one.rows_read:>12,}  {one.request_id}")
        for one in seen.slowest[:most]
    ]
    return [head, *rows]


def _alarming(number: float, text: str) -> Text | str:
    return Text(text, "bold red") if number else text


def _rate(number: float) -> str:
    """
    >>> _rate(0), _rate(0.25), _rate(12.34), _rate(1234.5)
    ('0', '0.25', '12.3', '1,234')
    """
    return (
        "0" if not number else f"{number:.2f}" if number < 1 else f"{number:.1f}" if number < 100 else f"{number:,.0f}"
    )


def _ms(seconds: float | None) -> str:
    """
    >>> _ms(None), _ms(0.0012), _ms(0.25), _ms(3.5)
    ('', '1.2 ms', '250 ms', '3.5 s')
    """
    if seconds is None:
        return ""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{1000 * seconds:.1f} ms" if seconds < 0.01 else f"{1000 * seconds:.0f} ms"


def _duration(seconds: float) -> str:
    return ago(seconds).removesuffix(" ago")
