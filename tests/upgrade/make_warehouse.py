"""Make tests/upgrade/warehouse-0.1.tar.xz: a warehouse as version 0.1 left it, and the answers that
version gave.

This program runs with the code of 0.1, not with this checkout's:

    git worktree add --detach /tmp/alsobought-0.1 92764cc
    cd /tmp/alsobought-0.1 && python3 -m venv .venv && .venv/bin/pip install -e '.[test]'
    .venv/bin/python …/tests/upgrade/make_warehouse.py …/tests/upgrade

The archive holds the data folder, and pipes/ and sql/ of 0.1. The writer was killed in the middle
of its last batch, so an upgrade also recovers from a crash of the old version. The answers come
from a copy that 0.1 itself recovered.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOME = Path.cwd()
FORGOTTEN, GUEST, ACCOUNT = "bruno", "guest-7", "shopper-007"
Request = tuple[str, dict[str, list[str]]]
REQUESTS: list[Request] = [
    ("active_users", {}),
    ("all_items", {"limit": ["20"]}),
    ("also_bought", {"item_id": ["green-tea"]}),
    ("also_bought", {"item_id": ["matcha", "flour"], "score": ["lift"], "limit": ["3"]}),
    ("also_bought", {"item_id": ["dark-chocolate"], "user_id": ["ada"], "leave_out": ["bought"]}),
    ("also_bought_ranked", {"item_id": ["espresso-beans", "honey"]}),
    ("bought_together", {"item_id": ["green-tea", "matcha"]}),
    ("buy_again", {"user_id": ["ada"], "due": ["0"]}),
    ("buy_again", {"user_id": ["shopper-042"], "due": ["0"]}),
    ("candidates", {"user_id": ["cleo"], "limit": ["30"]}),
    ("complementary", {"item_id": ["chess-set"]}),
    ("find_items", {"words": ["tea"]}),
    ("for_session", {"item_id": ["teapot", "honey"]}),
    ("for_you", {"user_id": ["ada"]}),
    ("for_you", {"user_id": ["dario"], "leave_out": ["seen"], "per_category": ["2"]}),
    ("for_you", {"user_id": [ACCOUNT]}),
    ("for_you", {"user_id": [FORGOTTEN]}),
    ("from_your_categories", {"user_id": ["cleo"]}),
    ("item_embedding", {"item_id": ["teapot", "dice"]}),
    ("item_features", {"item_id": ["cat-food"], "limit": ["3"]}),
    ("new_items", {"days": ["365"]}),
    ("popular", {}),
    ("popular", {"category": ["Kitchen/Tea"], "days": ["60"]}),
    ("rank", {"user_id": ["shopper-011"]}),
    ("recently_viewed", {"user_id": [ACCOUNT]}),
    ("reciprocal", {"user_id": ["ada"]}),
    ("similar_by_attributes", {"item_id": ["jigsaw"]}),
    ("similar_items", {"item_id": ["teapot"]}),
    ("swing", {"item_id": ["green-tea"]}),
    ("trending", {}),
    ("trending", {"place": ["porto"], "hours": ["168"]}),
    ("user_features", {"user_id": ["dario"], "limit": ["3"]}),
    ("users_for_item", {"item_id": ["mint-seeds"]}),
    ("viewed_also_viewed", {"item_id": ["fountain-pen"]}),
]


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        receipt = make(folder / "data", folder)
        step("compact", folder / "data")
        interrupt(folder / "data", folder)
        shutil.copytree(folder / "data", folder / "recovered", symlinks=True)
        facts = answers(folder / "recovered")
        facts["receipt"] = receipt
        facts["commit"] = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
        (target / "answers-0.1.json").write_text(json.dumps(facts, indent=1) + "\n")
        with tarfile.open(target / "warehouse-0.1.tar.xz", "w:xz", preset=9) as archive:
            archive.add(folder / "data", "data")
            archive.add(folder / "interrupted.ndjson", "interrupted.ndjson")
            for part in ("pipes", "sql"):
                archive.add(HOME / part, f"home/{part}")


def command(data: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    script = "from app.cli import main; main()"
    environment = {
        **os.environ,
        "ALSOBOUGHT_DATA": str(data),
        "ALSOBOUGHT_BATCH_ROWS": "20000",
        "ALSOBOUGHT_CHECK_SECONDS": "0",
        "PYTHONPATH": str(HOME),
        **settings,
    }
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        env=environment,
        cwd=data.parent,
        check=False,
    )


def succeed(data: Path, *words: str, **settings: str) -> str:
    done = command(data, *words, **settings)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def make(data: Path, folder: Path) -> dict[str, Any]:
    """Loads files, serves and receives, consumes Kafka, learns, rebuilds a table and forgets a
    user. Returns the receipt.
    """
    from app.demo import toyshop

    history = list(toyshop.history(NOW, days=60))
    places = ("porto", "lyon/old town", "")
    for number, event in enumerate(history):
        if place := places[number % 3]:
            event["properties"] = {"place": place}
    cut, posted = len(history) * 8 // 10, len(history) * 9 // 10
    items = toyshop.items()
    for number, item in enumerate(items[:20]):
        item["embedding"] = [1.0, float(number % 5), float(number % 7), 0.5]
    offered = [item | {"owner": "ada"} if item["item_id"] == "dice" else item for item in items]
    write(folder / "items.ndjson", offered)
    write(folder / "events.ndjson", history[:cut])
    succeed(data, "migrate", "up")
    succeed(data, "load", "items", str(folder / "items.ndjson"))
    succeed(data, "load", "events", str(folder / "events.ndjson"))
    with serving(data) as url:
        for at in range(cut, posted, 400):
            post(f"{url}/events", history[at : at + 400])
        post(f"{url}/events", history[cut : cut + 300])  # duplicates
        guest = [
            {"event_type": kind, "session_id": GUEST, "item_id": item, "timestamp": iso(NOW - timedelta(hours=2))}
            for kind, item in (("view", "teapot"), ("cart", "teapot"), ("view", "dice"), ("like", "honey"))
        ]
        post(f"{url}/events", guest)
        post(f"{url}/users/merge", {"guest_id": GUEST, "user_id": ACCOUNT})
        for name, parameters in REQUESTS[:12]:
            query = "&".join(f"{key}={value}" for key, values in parameters.items() for value in values)
            urllib.request.urlopen(f"{url}/pipes/{name}?{query}").read()
    consume(data, history[posted:])
    succeed(data, "learn", "neighbours")
    succeed(data, "learn", "embeddings")
    step("learn_ranker", data)
    receipt: dict[str, Any] = json.loads(succeed(data, "forget", FORGOTTEN))
    succeed(data, "rebuild", "co_baskets")
    return receipt


def consume(data: Path, events: list[dict[str, Any]]) -> None:
    """Feeds the rest of the history through Kafka, among messages that become dead letters."""
    sys.path.insert(0, str(HOME))
    from tests.brokers import broker  # type: ignore[import-not-found]
    from tests.kafka import Topics  # type: ignore[attr-defined]

    with broker() as running:
        topics = Topics(running, "shop")
        topics.make()
        topics.send(*events[:-50], b"no JSON", {"event_type": "viewed", "item_id": "tea"}, *events[-50:])
        environment = {**os.environ, **topics.environment, "ALSOBOUGHT_DATA": str(data), "PYTHONPATH": str(HOME)}
        script = "from app.cli import main; main()"
        process = subprocess.Popen([sys.executable, "-c", script, "ingest"], env=environment, cwd=data.parent)
        deadline, messages = time.monotonic() + 120, 0
        while messages < len(events) + 2 and time.monotonic() < deadline:
            time.sleep(1)
            status = command(data, "ingest", "--status", "--json", **topics.environment).stdout
            messages = json.loads(status)["ever"]["messages"] if status else 0
        assert messages == len(events) + 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def step(name: str, data: Path) -> None:
    """Runs a function of this module in its own process: one process opens one folder."""
    subprocess.run([sys.executable, __file__, name, data], check=True, env={**os.environ, "PYTHONPATH": str(HOME)})


def learn_ranker(data: Path) -> None:
    """The command learns of the days before today; this, of those before NOW."""
    from contextlib import nullcontext

    from app.learning.context import Context
    from app.learning.registry import learn
    from app.settings import Settings
    from app.shop import open_shop

    shop = open_shop(Settings(data=str(data), check_seconds=0))
    bar = lambda *_: nullcontext(lambda *_: None)  # noqa: E731
    exchange = lambda table, made: shop.do("take in what was learnt", table, made)  # noqa: E731
    try:
        learn("ranker", Context(shop.warehouse, HOME, NOW, bar, exchange), {"people": 50, "items": 50})
    finally:
        shop.close()


def compact(data: Path) -> None:
    """One part per partition, and none that was merged away: the archive is half as large."""
    from app.settings import Settings
    from app.warehouse import open_warehouse

    warehouse = open_warehouse(Settings(data=str(data)))
    sql = "select name from system.tables where database = {d:String} and engine like '%MergeTree'"
    for (table,) in warehouse.trusted_rows(sql, {"d": warehouse.database}).data:
        setting = f"alter table {warehouse.database}.{table} modify setting old_parts_lifetime"
        warehouse.command(f"{setting} = 1")
        warehouse.command(f"optimize table {warehouse.database}.{table} final")
    time.sleep(5)
    for (table,) in warehouse.trusted_rows(sql, {"d": warehouse.database}).data:
        warehouse.command(f"alter table {warehouse.database}.{table} reset setting old_parts_lifetime")
    warehouse.close()


def interrupt(data: Path, folder: Path) -> None:
    """Kills a rebuild in its second piece, then a load in its second batch, before the writer has
    confirmed that one.
    """
    from app.demo import toyshop

    killed = {"ALSOBOUGHT_BATCH_ROWS": "5000", "ALSOBOUGHT_FAILPOINT": "rebuild.filled:2"}
    done = command(data, "rebuild", "item_totals", **killed)
    assert done.returncode == -signal.SIGKILL, (done.stdout, done.stderr)

    more = [
        event | {"event_id": f"late-{event.get('event_id', '')}-{number}"}
        for number, event in enumerate(
            list(toyshop.history(NOW - timedelta(hours=1), days=20, shoppers=60, seed=9))[:2000]
        )
    ]
    write(folder / "interrupted.ndjson", more)
    done = command(
        data,
        *("load", "events", str(folder / "interrupted.ndjson")),
        ALSOBOUGHT_FAILPOINT="ingest.after_insert:2",
        ALSOBOUGHT_BATCH_ROWS="500",
    )
    assert done.returncode == -signal.SIGKILL, (done.stdout, done.stderr)


def answers(data: Path, requests: Sequence[Request] = REQUESTS) -> dict[str, Any]:
    """What 0.1 says: answers, the rows of the count tables and a hash of them, and the number of
    events.
    """
    from app.answers import answer, open_library
    from app.settings import Settings
    from app.shop import open_shop
    from app.views import count_tables

    succeed(data, "check")
    shop = open_shop(Settings(data=str(data), check_seconds=0), lambda: NOW)
    warehouse = shop.warehouse
    try:
        library = open_library(shop.settings, warehouse)
        answered = []
        for name, parameters in requests:
            given = answer(library, warehouse, name, parameters, NOW)
            columns = [column.name for column in given.meta]
            rows = [dict(zip(columns, row, strict=True)) for row in given.data]
            answered.append({"pipe": name, "parameters": parameters, "rows": rows})
        tables = {}
        for table in count_tables(warehouse):
            keys = ", ".join(table.keys)
            merged = ", ".join(f"{how}(one.{column})" for column, how in table.values.items())
            sql = (
                f"select count(), toString(groupBitXor(cityHash64(*))) from (select {keys}, {merged} from"
                f" {warehouse.database}.{table.name} as one final group by {keys})"
            )
            rows, checksum = warehouse.trusted_rows(sql).data[0]
            columns = [*table.keys, *table.values]
            tables[table.name] = {"sql": sql, "columns": columns, "rows": int(rows), "checksum": checksum}
        names = warehouse.trusted_rows(
            "select name from system.tables where database = 'alsobought' and engine like '%MergeTree'"
            " and name in ('events', 'items', 'dead_letters', 'loads', 'ingest_ranges', 'user_merges',"
            " 'forgotten_users', 'learned', 'item_neighbours', 'item_embeddings', 'ranker_weights') order by name"
        ).data
        counts = {
            name: int(warehouse.trusted_rows(f"select count() from alsobought.{name}").data[0][0]) for (name,) in names
        }
        late = "select count() from alsobought.events where startsWith(event_id, 'late-')"
        interrupted = int(warehouse.trusted_rows(late).data[0][0])
    finally:
        shop.close()
    facts = {"now": NOW.isoformat(), "answers": answered, "count_tables": tables, "rows": counts}
    return {**facts, "interrupted_stored": interrupted}


@contextmanager
def serving(data: Path) -> Iterator[str]:
    script = "from app.cli import main; main()"
    environment = {
        **os.environ,
        "ALSOBOUGHT_DATA": str(data),
        "ALSOBOUGHT_PORT": "18431",
        "PYTHONPATH": str(HOME),
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", script, "serve"], stdout=subprocess.PIPE, text=True, env=environment, cwd=data.parent
    )
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("alsobought serves on http://"), line
    try:
        yield line.split()[-1]
    finally:
        process.terminate()
        process.wait(60)


def post(url: str, body: Any) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        reply.read()


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


if __name__ == "__main__":
    if sys.argv[1] in ("compact", "learn_ranker"):
        globals()[sys.argv[1]](Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]).resolve())
