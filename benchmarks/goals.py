"""Measure the service against its goals, each beside an empty Flask route or the bare engine in the same run.

    .venv/bin/python -m benchmarks.goals [--folder data] [--quick]

Uses the year, the mix and the load of benchmarks/traffic.py, and writes goals.md. Goals are requests a second on a machine
with two cores that also sends the load.
"""

from __future__ import annotations

import http.client
import itertools
import json
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alsobought.console import out
from benchmarks.first_light import Service
from benchmarks.traffic import (
    EVENTS_OF_A_POST,
    EVENTS_PER_SECOND,
    Result,
    Shop,
    arguments,
    attack,
    closed_loop,
    cpu_of,
    empty_route,
    fastest,
    machine,
    memory_of,
    names,
)

HERE = Path(__file__).resolve().parent
LONE_REQUESTS = 60
BATCH_KEYS = 64
FIRST_P99, MIX_P99 = 150.0, 65.0  # milliseconds
VISIBLE_WITHIN = 5.0  # seconds; a probe gives up then
PAUSE, POLL = 2.0, 0.1  # seconds between two probes of a pipe, and between two looks


Asked = tuple[Any, str, Callable[[list[str]], bool]]
"""What a probe posts, the path that it polls, and what the items there are once the events are visible."""


@dataclass(frozen=True)
class Row:
    """What was measured and what is wanted, in words; `met` is None where there is nothing to meet."""

    name: str
    measured: str
    goal: str
    met: bool | None = None

    def line(self) -> str:
        verdict = {True: "met", False: "missed", None: ""}[self.met]
        return f"| {self.name} | {self.measured} | {self.goal} | {verdict} |"


class Session:
    """A running service, the load for it, and the rows measured so far."""

    def __init__(self, folder: str, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        Service(folder).stop()  # loads the year if it is not there
        self.items, self.users = names(folder)
        self.rows: list[Row] = []
        self._seed = itertools.count(1)
        self.start()

    def start(self) -> None:
        self.service = Service(self.folder)
        self.url = f"http://127.0.0.1:{self.service.port}"
        self.cpu = cpu_of(self.service.process.pid)

    def restart(self) -> None:
        """Nothing is cached afterwards."""
        self.service.stop()
        self.start()

    def shop(self) -> Shop:
        """Requests that were not drawn before."""
        return Shop(self.url, self.items, self.users, next(self._seed))

    def add(self, name: str, measured: str, goal: str, met: bool | None = None) -> None:
        self.rows.append(Row(name, measured, goal, met))
        out.print(self.rows[-1].line())

    def highest(
        self, traffic: Callable[[Shop, float], Iterator[dict[str, Any]]], limit: float, events: float, *, cold: bool
    ) -> Result | None:
        """The attack at the highest rate at which p99 holds without errors; None if no rate did."""

        def measure(rate: float) -> Result:
            if cold:
                self.restart()
            posts = events / EVENTS_OF_A_POST
            return attack(f"{rate:,.0f}/s", traffic(self.shop(), rate), rate + posts, self.seconds, self.cpu)

        tried = fastest(measure, 20, 1600, limit)
        return max((one for one in tried if one.holds(limit)), key=lambda one: one.offered, default=None)


def ceilings(session: Session) -> None:
    """A cached answer beside an empty Flask route, with 1 and 16 connections that ask as fast as they can."""
    cached = session.shop().get(f"/pipes/also_bought?item_id={session.items[0]}")
    session.service.request(f"/pipes/also_bought?item_id={session.items[0]}")
    with empty_route() as (empty_url, empty_cpu):
        empty = {"method": "GET", "url": f"{empty_url}/"}
        for connections in (1, 16):
            ceiling = closed_loop(empty, connections, session.seconds, empty_cpu)
            got = closed_loop(cached, connections, session.seconds, session.cpu)
            ratio = got.answered / ceiling.answered
            session.add(
                f"a cached answer, {connections} connection{'s' * (connections > 1)}",
                f"{got.answered:,.0f}/s; an empty Flask route {ceiling.answered:,.0f}/s: {ratio:.2f} of it",
                "≥ .8 of an empty Flask route",
                ratio >= 0.8,
            )


def lone_requests(session: Session) -> None:
    """One request after the other, nothing else running; the bare engine beside them."""
    shop = session.shop()
    session.service.connection.close()  # the service has closed it meanwhile; it opens again by itself
    goals = {"also_bought": (5, 15), "for_you": (10, 20), "trending": (5, 15)}
    for pipe, (p50_goal, p99_goal) in goals.items():
        times = []
        for _ in range(LONE_REQUESTS):
            parameter = {"also_bought": f"item_id={shop.item()}&", "for_you": f"user_id={shop.user()}&"}.get(pipe, "")
            started = time.perf_counter()
            session.service.request(f"/pipes/{pipe}?{parameter}fresh=true")
            times.append(1e3 * (time.perf_counter() - started))
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        met = p50 <= p50_goal and p99 <= p99_goal
        session.add(f"one {pipe} alone", f"p50 {p50:.1f}, p99 {p99:.1f} ms", f"{p50_goal} / {p99_goal} ms", met)


def first_answers(session: Session) -> None:
    def traffic(shop: Shop, _rate: float) -> Iterator[dict[str, Any]]:
        for number in itertools.count():
            path = f"also_bought?item_id={shop.item()}" if number % 2 else f"for_you?user_id={shop.user()}"
            yield shop.get(f"/pipes/{path}&fresh=true")

    best = session.highest(traffic, FIRST_P99, 0, cold=False)
    session.add("first answers only, half also_bought, half for_you", *_rate(best, 400, FIRST_P99))


def batches(session: Session) -> None:
    """64 keys in a request, each computed."""
    for pipe, parameter, values in (
        ("also_bought", "item_id", session.items[:2000]),
        ("for_you", "user_id", session.users),
    ):
        shop = session.shop()
        keys = "&".join(f"{parameter}={value}" for value in shop.random.sample(values, BATCH_KEYS))
        got = closed_loop(shop.get(f"/pipes/{pipe}?{keys}&fresh=true"), 2, session.seconds, session.cpu)
        lists = got.answered * BATCH_KEYS
        session.add(f"lists of {pipe} in batch form", f"{lists:,.0f} lists/s", "≥ 20,000 lists/s", lists >= 20_000)


def posts(session: Session) -> None:
    shop = session.shop()
    few = attack("", iter(lambda: shop.post(1), None), 10, session.seconds, session.cpu)
    session.add(
        "the service at 10 posts/s", f"{few.cpu:.2f} cores, p50 {few.p50:.1f} ms", "≤ .25 cores", few.cpu <= 0.25
    )
    got = closed_loop(iter(lambda: shop.post(1), None), 64, session.seconds, session.cpu)
    session.add(
        "posts of one event, 64 connections",
        f"{got.answered:,.0f}/s, p99 {got.p99:,.0f} ms, errors: {got.errors}",
        "≥ 1,000/s, p99 ≤ 100 ms",
        got.answered >= 1000 and got.p99 <= 100,
    )


def mixes(session: Session) -> None:
    def mixed(shop: Shop, rate: float) -> Iterator[dict[str, Any]]:
        return shop.traffic(rate, EVENTS_PER_SECOND)

    best = session.highest(mixed, MIX_P99, EVENTS_PER_SECOND, cold=True)
    session.add(f"the mix with {EVENTS_PER_SECOND} events/s, nothing cached", *_rate(best, 600, MIX_P99))
    session.restart()
    most = closed_loop(session.shop().traffic(1, 0), 64, 2 * session.seconds, session.cpu)
    per_request = 1e3 * most.cpu / most.answered
    session.add(
        "the mix, nothing cached, 64 connections as fast as they can",
        f"{most.answered:,.0f}/s, p50 {most.p50:.0f}, p99 {most.p99:.0f} ms, {per_request:.1f} ms of CPU a request",
        "",
    )
    out.print("warming up …")
    attack("warm-up", session.shop().traffic(100, 0), 100, 8 * session.seconds, session.cpu)
    best = session.highest(lambda shop, rate: shop.traffic(rate, 0), MIX_P99, 0, cold=False)
    session.add("the mix, warm, without events", *_rate(best, 1200, MIX_P99))
    best = session.highest(mixed, MIX_P99, EVENTS_PER_SECOND, cold=False)
    session.add(f"the mix with {EVENTS_PER_SECOND} events/s, warm", *_rate(best, 1200, MIX_P99))


def _rate(best: Result | None, goal: float, limit: float) -> tuple[str, str, bool]:
    wanted = f"≥ {goal:,.0f}/s, p99 ≤ {limit:.0f} ms, no errors"
    if not best:
        return f"no rate from 20/s on has p99 ≤ {limit:.0f} ms", wanted, False
    measured = f"{best.offered:,.0f}/s: p50 {best.p50:.1f}, p99 {best.p99:.0f} ms, {best.cpu:.2f} cores"
    return measured, wanted, best.offered >= goal


class Probe:
    """Posts events again and again, and polls until an answer shows them."""

    def __init__(self, session: Session, pipe: str) -> None:
        self.pipe = pipe
        self.connection = http.client.HTTPConnection("127.0.0.1", session.service.port, timeout=30)
        self.shop = session.shop()
        self.seconds: list[float] = []

    def ask(self, path: str, body: object = None) -> Any:
        self.connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
        return json.loads(self.connection.getresponse().read())

    def items(self, path: str) -> list[str]:
        return [row.get("other_item_id") or row["item_id"] for row in self.ask(path).get("data", [])]

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(PAUSE):
            events, path, is_visible = getattr(self, self.pipe)()
            self.ask("/events", events)
            accepted = time.perf_counter()
            while time.perf_counter() - accepted < VISIBLE_WITHIN and not is_visible(self.items(path)):
                time.sleep(POLL)
            self.seconds.append(time.perf_counter() - accepted)

    def recently_viewed(self) -> Asked:
        item, user = self.rare_item(), self.shop.user()
        event = {"event_type": "view", "user_id": user, "item_id": item}
        return event, f"/pipes/recently_viewed?user_id={user}&limit=100", lambda items: item in items

    def also_bought(self) -> Asked:
        item, other = self.rare_item(), self.rare_item()
        common = {"event_type": "purchase", "user_id": self.shop.user(), "order_id": uuid.uuid4().hex}
        events = [{**common, "item_id": one} for one in (item, other)]
        return events, f"/pipes/also_bought?item_id={item}&limit=100", lambda items: other in items

    def for_you(self) -> Asked:
        """An item disappears from the list of a user who buys it."""
        user = self.shop.user()
        path = f"/pipes/for_you?user_id={user}"
        bought = self.items(path)[0]
        event = {"event_type": "purchase", "user_id": user, "item_id": bought, "order_id": uuid.uuid4().hex}
        return event, path, lambda items: bool(items) and bought not in items

    def trending(self) -> Asked:
        item, place = self.rare_item(), uuid.uuid4().hex
        event = {"event_type": "view", "user_id": self.shop.user(), "item_id": item, "properties": {"place": place}}
        return event, f"/pipes/trending?place={place}", lambda items: item in items

    def rare_item(self) -> str:
        return self.shop.random.choice(self.shop.items[len(self.shop.items) // 2 :])


def visibility(session: Session, rate: float) -> None:
    """Probes while the mix and its events arrive at this rate."""
    probes = [Probe(session, pipe) for pipe in ("recently_viewed", "also_bought", "for_you", "trending")]
    stop = threading.Event()
    threads = [threading.Thread(target=probe.run, args=(stop,)) for probe in probes]
    for thread in threads:
        thread.start()
    posts = EVENTS_PER_SECOND / EVENTS_OF_A_POST
    attack("", session.shop().traffic(rate, EVENTS_PER_SECOND), rate + posts, 4 * session.seconds, session.cpu)
    stop.set()
    for thread in threads:
        thread.join()
    for probe in probes:
        p50, p99 = statistics.median(probe.seconds), _quantile(sorted(probe.seconds), 0.99)
        measured = f"p50 {p50:.2f}, p99 {p99:.2f} s, {len(probe.seconds)} probes"
        session.add(f"event → visible in {probe.pipe}, the mix at {rate:.0f}/s", measured, "p99 ≤ 1 s", p99 <= 1)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def page(session: Session) -> str:
    rows = "\n".join(row.line() for row in session.rows)
    return f"""# The goals, and what is measured

Written by `python -m benchmarks.goals` on {datetime.now(UTC):%Y-%m-%d}: {machine()}. The year of the Complete Journey is loaded.
Rates are those of an open loop, in which latency counts from the time a request was due; *as fast as they can* (numbers of
connections) is a closed one. A rate is the highest one tried at which the limit of p99 held without errors.

| | measured | goal | |
|---|---|---|---|
{rows}

Memory of the service afterwards: {memory_of(session.service.process.pid):,.0f} MB.
"""


def main() -> None:
    parsed = arguments(__doc__, "goals")
    with tempfile.TemporaryDirectory() as temporary:
        session = Session(parsed.folder or temporary, 4 if parsed.quick else 10)
        try:
            for measure in (ceilings, lone_requests, first_answers, batches, posts, mixes):
                measure(session)
            visibility(session, 50)
            (HERE / "goals.md").write_text(page(session))
        finally:
            session.service.stop()


if __name__ == "__main__":
    main()
