"""What a running service does, from two pages of its metrics: rates between them, and levels of the newer one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from alsobought.diagnostics.metrics_page import MetricsPage, difference, quantile


class PipeLoad(msgspec.Struct, frozen=True):
    """Times in seconds: of the window, or since the start of the service if nobody asked in the window."""

    name: str
    requests: float
    per_second: float
    errors: float
    p50: float | None
    p99: float | None
    slowest: float | None


class LaneLoad(msgspec.Struct, frozen=True):
    name: str
    running: float
    waiting: float
    threads: float
    wait_p99: float | None


class SlowRequest(msgspec.Struct, frozen=True):
    """A request of the table `requests`."""

    time: str
    pipe: str
    seconds: float
    rows_read: int
    status: int
    request_id: str


class Overview(msgspec.Struct, frozen=True):
    """Times and ages in seconds, sizes in bytes; None where the service does not show it."""

    version: str
    window_seconds: float
    uptime: float | None
    ready: bool | None
    writer_running: bool | None
    alarms: float | None
    requests_per_second: float
    posts_per_second: float
    errors_per_second: float
    turned_away: dict[str, float]
    ended_connections: dict[str, float]
    cache_hits: float | None
    cache_answers: float | None
    cache_bytes: float | None
    events_per_second: float
    kafka_per_second: float | None
    kafka_lag: float | None
    dead_letters: float | None
    waiting_rows: float | None
    queue_rows: float | None
    newest_event_age: float | None
    memory: float | None
    memory_limit: float | None
    engine_memory: float | None
    disk_free: float | None
    disk_min_free: float | None
    warehouse: float | None
    connections: dict[str, float]
    queries: dict[str, float]
    lanes: list[LaneLoad]
    pipes: list[PipeLoad]
    pipe_states: dict[str, float]
    learned: dict[str, float]
    backup_age: float | None
    backup_failed: bool
    broken_parts: float | None
    rejected: dict[str, float]
    slowest: list[SlowRequest] | None = None


def overview(old: MetricsPage, new: MetricsPage, now: float) -> Overview:
    """`now` is the time of the newer page as a Unix time, for ages; rejections are those since the start of the service."""
    seconds = max(new.at - old.at, 0.001)

    def rate(name: str, **labels: str) -> float:
        return difference(old, new, name, **labels) / seconds

    def age(name: str) -> float | None:
        at = new.sum(name)
        return max(0.0, now - at) if at else None

    pipes = _pipes(old, new, seconds)
    return Overview(
        version=new.label("build_info", "version"),
        window_seconds=seconds,
        uptime=age("start_time_seconds"),
        ready=_flag(new.sum("ready")),
        writer_running=_flag(new.sum("writer_running")),
        alarms=new.sum("alarms"),
        requests_per_second=rate("pipe_requests_total"),
        posts_per_second=rate("posts_total"),
        errors_per_second=_errors(old, new, "pipe_requests_total") / seconds
        + _errors(old, new, "posts_total") / seconds,
        turned_away=new.by("turned_away_requests_total", "status"),
        ended_connections=new.by("connections_refused_total", "reason"),
        cache_hits=_hit_share(old, new),
        cache_answers=new.sum("cache_answers"),
        cache_bytes=new.sum("cache_bytes"),
        events_per_second=rate("rows_total", kind="event", outcome="stored"),
        kafka_per_second=rate("kafka_messages_consumed_total")
        if new.sum("kafka_messages_consumed_total") is not None
        else None,
        kafka_lag=new.sum("kafka_lag"),
        dead_letters=new.sum("dead_letters"),
        waiting_rows=new.sum("waiting_rows"),
        queue_rows=new.sum("queue_rows"),
        newest_event_age=age("as_of_seconds"),
        memory=new.sum("memory_bytes"),
        memory_limit=new.sum("memory_limit_bytes"),
        engine_memory=new.sum("engine_memory_bytes"),
        disk_free=new.sum("disk_free_bytes"),
        disk_min_free=new.sum("disk_min_free_bytes"),
        warehouse=new.sum("warehouse_bytes"),
        connections=new.by("connections", "state"),
        queries=new.by("queries", "state"),
        lanes=_lanes(old, new),
        pipes=pipes,
        pipe_states=new.by("pipes", "state"),
        learned=_ages(new, now),
        backup_age=age("backup_time_seconds"),
        backup_failed=bool(new.sum("backup_failed")),
        broken_parts=new.sum("broken_parts"),
        rejected=_largest_first(new.by("rejected_rows_total", "reason")),
    )


def _flag(value: float | None) -> bool | None:
    return None if value is None else value > 0


def _errors(old: MetricsPage, new: MetricsPage, name: str, **labels: str) -> float:
    """Answers of 500 and above."""
    statuses = [status for status in new.by(name, "status") if status.startswith("5")]
    return sum(difference(old, new, name, status=status, **labels) for status in statuses)


def _hit_share(old: MetricsPage, new: MetricsPage) -> float | None:
    gained = {
        outcome: difference(old, new, "cache_requests_total", outcome=outcome)
        for outcome in ("hit", "stale_hit", "miss")
    }
    asked = sum(gained.values())
    return (asked - gained["miss"]) / asked if asked else None


def _lanes(old: MetricsPage, new: MetricsPage) -> list[LaneLoad]:
    threads = new.by("lane_threads", "lane")
    return [
        LaneLoad(
            lane,
            new.sum("lane_requests", lane=lane, state="running") or 0.0,
            new.sum("lane_requests", lane=lane, state="waiting") or 0.0,
            threads[lane],
            _quantile(old, new, "lane_wait_seconds", 0.99, lane=lane),
        )
        for lane in threads
    ]


def _pipes(old: MetricsPage, new: MetricsPage, seconds: float) -> list[PipeLoad]:
    """The busiest in the window first, then those that were asked most."""
    slowest = new.by("pipe_slowest_seconds", "pipe")
    pipes = [
        _pipe(old, new, name, total, seconds, slowest.get(name))
        for name, total in new.by("pipe_requests_total", "pipe").items()
    ]
    return sorted(pipes, key=lambda pipe: (-pipe.per_second, -pipe.requests, pipe.name))


def _pipe(
    old: MetricsPage, new: MetricsPage, name: str, total: float, seconds: float, slowest: float | None
) -> PipeLoad:
    """No quantile of the window is above the slowest answer, as one interpolated in a wide bucket may be."""
    asked = difference(old, new, "pipe_requests_total", pipe=name)
    p50, p99 = (_quantile(old, new, "pipe_seconds", share, pipe=name) for share in (0.5, 0.99))
    if asked and slowest is not None:
        p50, p99 = (None if one is None else min(one, slowest) for one in (p50, p99))
    errors = _errors(old, new, "pipe_requests_total", pipe=name)
    return PipeLoad(name or "(unknown)", total, asked / seconds, errors, p50, p99, slowest)


def _quantile(old: MetricsPage, new: MetricsPage, name: str, share: float, **labels: str) -> float | None:
    before, after = (page.by(f"{name}_bucket", "le", **labels) for page in (old, new))
    gained = {end: count - before.get(end, 0.0) for end, count in after.items()}
    is_new = any(gained.values()) and all(count >= 0 for count in gained.values())
    return quantile(gained if is_new else after, share)


def _ages(new: MetricsPage, now: float) -> dict[str, float]:
    return _largest_first({name: now - at for name, at in new.by("learned_time_seconds", "name").items()})


def _largest_first(values: dict[str, float]) -> dict[str, float]:
    return dict(sorted(values.items(), key=lambda one: -one[1]))


def window(pages: Sequence[MetricsPage], seconds: float) -> MetricsPage:
    """The page to compare the newest with: the first of those that are at most so old."""
    return next(page for page in pages if pages[-1].at - page.at <= seconds or page is pages[-1])
