"""Heavy requests wait for each other, not the others for them; too many are refused at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from alsobought.serving.lane import SHARE, Lane
from alsobought.web import lanes
from alsobought.web.lanes import Lanes
from tests.support.process import ServedProcess, running, serving
from tests.support.project import project_folder
from tests.support.web import VIEW

SLOW = """
-- Slow.
--
-- :seed UInt32 = 0  makes each request another one

select sum(arraySum(arrayMap(n -> sipHash64(user_id, session_id, properties, n + {{ seed }}) % 7, range(60)))) as total
from events
order by total
limit 1
"""
EVENTS, TEXT = 8_000, 1_000  # 8 MB to read


@pytest.mark.parametrize(
    ("path", "lane"),
    [
        (b"/healthz", "status"),
        (b"/metrics", "status"),
        (b"/events", "intake"),
        (b"/items", "intake"),
        (b"/pipes/rank", "heavy"),
        (b"/pipes/rank.csv", "heavy"),
        (b"/pipes/popular", "light"),
        (b"/pipes/new", "heavy light"),
        (b"/pipes", "pages"),
        (b"/workbench/pipes/rank", "pages"),
        (b"*", "pages"),
    ],
)
def test_each_request_has_its_lane(path: bytes, lane: str) -> None:
    made = Lanes(4)
    assert made.of(path, {"rank": True, "popular": False}.get) == tuple(getattr(made, name) for name in lane.split())
    made.shutdown(wait=True)


def test_a_full_lane_refuses_until_a_request_is_done() -> None:
    lane, go = Lane("test", 1, 1), threading.Event()
    first, second = lane.submit(go.wait, 30), lane.submit(go.wait, 30)
    assert first
    assert second
    assert lane.submit(go.wait, 30) is None
    assert lane.calls == (1, 1)
    go.set()
    assert (first.result(30), second.result(30)) == (True, True)
    third = lane.submit(go.wait, 30)
    assert third
    assert third.result(30)
    lane.shutdown(wait=True)


def test_one_pipe_leaves_threads_and_room_in_the_queue_to_others() -> None:
    lane, go = Lane("test", 4, 16), threading.Event()
    slow = [lane.submit(go.wait, 30, group="slow") for _ in range(20)]
    assert [one is not None for one in slow] == [True] * 15 + [False] * 5
    assert lane.calls == (3, 12)
    popular = lane.submit(str, 7, group="popular")
    assert popular
    assert popular.result(30) == "7"
    assert not any(one.done() for one in slow if one)
    go.set()
    assert all(one.result(30) for one in slow if one)
    assert lane.calls == (0, 0)
    lane.shutdown(wait=True)


def test_pipes_that_wait_have_threads_in_turn() -> None:
    lane, go, order = Lane("test", 1, 16), threading.Event(), list[str]()
    first = lane.submit(go.wait, 30, group="slow")
    for pipe in ("slow", "slow", "slow", "popular"):
        lane.submit(order.append, pipe, group=pipe)
    gone = lane.submit(order.append, "gone", group="gone")
    assert gone
    assert gone.cancel()
    assert lane.calls == (1, 4)
    go.set()
    assert first
    assert first.result(30)
    lane.shutdown(wait=True)
    assert order == ["slow", "popular", "slow", "slow"]


@pytest.mark.thorough
def test_beside_many_heavy_requests_others_are_answered_and_some_heavy_ones_refused(tmp_path: Path) -> None:
    project_folder(tmp_path / "home")
    (tmp_path / "home" / "pipes" / "slow.sql").write_text(SLOW.lstrip())
    run = running(tmp_path / "data", ALSOBOUGHT_THREADS="4").at(tmp_path / "home")
    with serving(run) as service, ThreadPoolExecutor(40) as threads:
        long = [VIEW | {"properties": {"text": "x" * TEXT}}] * (EVENTS // 4)
        assert all(service.ask("/events?wait=true", long)[0] == 200 for _ in range(4))
        assert service.ask("/pipes/popular")[0] == 200
        for seed in range(101, 104):  # so that the pipe is known as a heavy one
            service.ask(f"/pipes/slow?seed={seed}")
        heavy = [threads.submit(service.ask, f"/pipes/slow?seed={seed}") for seed in range(40)]
        while not any(answer.done() for answer in heavy):
            time.sleep(0.01)
        waiting = [path for path in ("/healthz", "/pipes/popular", "/events") for _ in range(3)]
        answered = [(path, _status(service, path)) for path in waiting]
        assert not all(answer.done() for answer in heavy), "the heavy requests ended too soon to prove anything"
        assert answered == [(path, 202 if path == "/events" else 200) for path in waiting]
        statuses = [answer.result()[0] for answer in heavy]
        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= lanes.MAX_WAITING * SHARE // (SHARE + 1)
        refused = next(answer.result()[1] for answer in heavy if answer.result()[0] == 503)
        assert refused["error"]["code"] == "busy"


def _status(service: ServedProcess, path: str) -> int:
    return service.ask(path, VIEW if path == "/events" else None)[0]


def test_a_lane_hangs_when_nothing_in_it_ends() -> None:
    made, go = Lanes(4), threading.Event()
    assert made.hung(0.0) == ""
    waiting = [made.light.submit(go.wait, 30) for _ in range(2)]
    time.sleep(0.05)
    assert (made.hung(0.04), made.hung(10)) == ("light", "")
    go.set()
    for one in waiting:
        assert one
        one.result()
    assert made.hung(0.0) == ""
    made.shutdown(wait=True)
