"""Compare 2,000 answers of the fast path with those that the count tables give.

    .venv/bin/python -m benchmarks.agreement [--folder data] [--requests 2000]

Requests of the mix of benchmarks/traffic.py are answered as a running service does it: by 32 threads at a time, from the
cache, from joint queries, and from the serving tables as the writer has made them after events. Then each different request
is answered again, alone, from rows that the SELECTs of sql/serving make of the count tables at that moment, in ordinary
tables. Prints the requests with other answers and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from alsobought.console import late_bar, out
from alsobought.events import Event
from alsobought.pipes.pipe import Pipe
from alsobought.service.service import Service, open_service
from alsobought.serving.answers import answer_page, bound_sql
from alsobought.serving.paging import requested_page
from alsobought.settings import Settings, packaged_home
from alsobought.storage.results import Rows
from alsobought.storage.scratch_database import Scratch
from alsobought.storage.serving_tables import in_part, serving_tables
from alsobought.writer.submission import Submission
from benchmarks import first_light
from benchmarks.traffic import EVENTS_OF_A_POST, Shop, names

THREADS, POSTS, DIGITS = 32, 40, 5
PARTS = 8  # of a serving table that is made at once
Asked = tuple[str, str]
"""A pipe, and the query string of a request to it."""


def recorded(items: list[str], users: list[str], count: int) -> list[Asked]:
    shop = Shop("", items, users, 7)
    urls = (urlsplit(shop.ask()["url"]) for _ in range(count))
    return [(url.path.removeprefix("/pipes/"), url.query) for url in urls]


def post(service: Service, items: list[str], users: list[str]) -> None:
    """Events for some items and users, stored when this returns."""
    shop = Shop("", items, users, 8)
    for _ in range(POSTS):
        service.writer.submit(Submission(msgspec.convert(shop.events(EVENTS_OF_A_POST), list[Event]))).result(60)


class Truth:
    """The pipes over rows that the count tables give now."""

    def __init__(self, service: Service) -> None:
        self._service = service
        warehouse = service.warehouse
        self._scratch = Scratch(warehouse, "agreement")
        self._tables = serving_tables(packaged_home(), warehouse.database)
        for table in self._tables:
            target = f"{self._scratch.name}.{table.name}"
            original = f"{warehouse.database}.{table.name}"
            warehouse.command(f"create table {target} as {original} engine = MergeTree order by {table.key}")
            for part in range(PARTS):
                select = self._own(table.select(in_part(table.key, part, PARTS)), f"{warehouse.database}.")
                warehouse.command(f"insert into {target} {select}")

    def _own(self, sql: str, database: str = "") -> str:
        """The text with our tables in place of the serving tables, which it names with or without their database."""
        for table in self._tables:
            sql = re.sub(rf"\b(from|join)\s+{database}{table.name}\b", rf"\1 {self._scratch.name}.{table.name}", sql)
        return sql

    def answer(self, asked: Asked) -> list[list[Any]]:
        pipe = self._service.library[asked[0]]
        page = requested_page(pipe, parse_qs(asked[1]))
        return _rounded(answer_page(self._service.library, page, self._run).data)

    def _run(self, pipe: Pipe, bound: Mapping[str, Any], requested: Pipe) -> Rows:
        sql, parameters = bound_sql(pipe, bound, self._service.clock(), requested)
        return self._service.warehouse.rows(self._own(sql), parameters)

    def drop(self) -> None:
        self._scratch.drop()


def _rounded(data: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Sums of floats depend on their order, in the last digits."""
    return [[round(value, DIGITS) if isinstance(value, float) else value for value in row] for row in data]


def compare(service: Service, items: list[str], users: list[str], count: int) -> int:
    """The number of requests whose answers differ."""
    asked = recorded(items, users, count)

    def fast(one: Asked) -> list[list[Any]]:
        return _rounded(service.answers.answer(one[0], parse_qs(one[1])).data)

    post(service, items, users)
    while service.writers[0].serving.pending or service.writers[0].catalogue.demand_changed:
        time.sleep(0.1)
    with ThreadPoolExecutor(THREADS) as threads:
        answers = list(threads.map(fast, asked))
    truth = Truth(service)
    try:
        right: dict[Asked, list[list[Any]]] = {}
        different = list(dict.fromkeys(asked))
        with late_bar(out, "answers from the count tables", len(different), "requests") as advance:
            for one in different:
                right[one] = truth.answer(one)
                advance(1)
    finally:
        truth.drop()
    wrong = [(one, got) for one, got in zip(asked, answers, strict=True) if got != right[one]]
    for one, got in wrong[:5]:
        out.print(f"/pipes/{one[0]}?{one[1]}\n  fast   {got[:3]}\n  tables {right[one][:3]}")
    of_pipe = ", ".join(f"{number} {name}" for name, number in Counter(name for name, _ in asked).most_common())
    out.print(f"{len(asked):,} requests ({of_pipe}), {len(right):,} different ones: {len(wrong):,} have other answers")
    return len(wrong)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="a data folder of `alsobought demo`; by default an empty one")
    parser.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or temporary
        first_light.Service(folder).stop()  # loads the year if it is not there
        items, users = names(folder)
        settings = Settings(dsn=f"chdb://{Path(folder, 'journey')}", record_requests=False)
        times = [datetime.now(UTC)]
        service = open_service(settings, lambda: times[0])
        try:
            newest = service.warehouse.value("select toUnixTimestamp64Milli(max(timestamp)) from events")
            times[0] = datetime.fromtimestamp(int(newest) / 1e3, UTC) + timedelta(seconds=1)
            return 1 if compare(service, items, users, arguments.requests) else 0
        finally:
            service.close()


if __name__ == "__main__":
    sys.exit(main())
