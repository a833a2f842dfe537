"""Lanes: each kind of request has its own threads and its own bounded queue, so that none waits for another.

A heavy pipe (`serving.costs`) takes seconds when sixty-four callers ask at once. It has a small share
of the threads; light answers, posts and `/healthz` go on beside it. A lane whose queue is full refuses
at once. The pipes of a lane have turns (`serving.lane`): a slow one leaves room to the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from alsobought.serving.lane import Lane
from alsobought.surfaces.surface_file import SUFFIXES

MAX_WAITING = 16  # requests for each thread of a lane
PAGE_THREADS = 4  # for the workbench and the description of the API, which cost Python rather than queries
STATUS_PATHS = {b"/healthz", b"/readyz", b"/metrics"}
INTAKE = (b"/events", b"/items", b"/users")
PIPES, RECOMMEND = b"/pipes/", b"/recommend"
LANE = "alsobought.lane"  # of a request, in the WSGI environment
WAITED = "alsobought.waited"  # its seconds in the queue, there


class Lanes:
    """The lanes of a worker whose `light` lane has this many threads."""

    def __init__(self, threads: int) -> None:
        heavy = max(1, min(threads // 4, os.cpu_count() or 1))
        self.light = Lane("light", threads, MAX_WAITING * threads)
        self.heavy = Lane("heavy", heavy, MAX_WAITING * heavy)
        self.intake = Lane("intake", threads, MAX_WAITING * threads)
        self.pages = Lane("pages", min(threads, PAGE_THREADS), MAX_WAITING * PAGE_THREADS)
        self.status = Lane("status", 1, MAX_WAITING)

    @property
    def all(self) -> Sequence[Lane]:
        return (self.light, self.heavy, self.intake, self.pages, self.status)

    def of(
        self,
        path: bytes,
        is_heavy: Callable[[str], bool | None],
        pipes_of: Callable[[str], Iterable[str]] = lambda _: (),
    ) -> Sequence[Lane]:
        """The lanes for a request of this decoded path: the first that has room takes it.

        A request to a surface is heavy if one of the pipes that may answer it, `pipes_of` its name, is.
        """
        if path in STATUS_PATHS:
            return (self.status,)
        if path.startswith(INTAKE):
            return (self.intake,)
        if path.startswith(RECOMMEND):
            is_light = not any(map(is_heavy, pipes_of(surface_of(path))))
            return (self.light,) if is_light else (self.heavy,)
        pipe = pipe_of(path)
        if not pipe:
            return (self.pages,)
        heavy = is_heavy(pipe)
        if heavy is None:
            return (self.heavy, self.light)
        return (self.heavy,) if heavy else (self.light,)

    def hung(self, seconds: float) -> str:
        """The name of a lane in which requests wait or run, and none ended for so long; "" if there is none.

        Intake and pages are left out: a merge of users, and the cases of a pipe, may take longer than any limit.
        """
        lanes = (self.light, self.heavy, self.status)
        return next((lane.name for lane in lanes if lane.stalled_seconds() > seconds), "")

    def shutdown(self, *, wait: bool) -> None:
        for lane in self.all:
            lane.shutdown(wait=wait)


def pipe_of(path: bytes) -> str:
    """The name of the pipe that a decoded path asks, "" if it asks none.

    >>> pipe_of(b"/pipes/rank.csv"), pipe_of(b"/pipes")
    ('rank', '')
    """
    return path[len(PIPES) :].partition(b".")[0].decode("latin1") if path.startswith(PIPES) else ""


def surface_of(path: bytes) -> str:
    """The name of the surface that a decoded path asks, in any format; "" for several.

    >>> surface_of(b"/recommend/home.top.csv"), surface_of(b"/recommend")
    ('home.top', '')
    """
    name = path[len(RECOMMEND) + 1 :].decode("latin1")
    stem, _, suffix = name.rpartition(".")
    return stem if suffix in SUFFIXES else name


def group_of(path: bytes) -> str:
    """What has its turn in a lane: a pipe, or a surface.

    >>> group_of(b"/pipes/rank.csv"), group_of(b"/recommend/cart")
    ('rank', '/cart')
    """
    return pipe_of(path) or (f"/{surface_of(path)}" if path.startswith(RECOMMEND) else "")
