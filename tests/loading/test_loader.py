"""Loading: order of batches, failures, duplicates by offset, and resuming from the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from alsobought.counts.sum_checks import wrong_rows
from alsobought.errors import NotStored, Unusable
from alsobought.events import Event, Rules
from alsobought.loading.files import Layout, Rows, open_rows
from alsobought.loading.loader import LoadTask, load_file
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.preflight import check_sample
from alsobought.loading.rejects import Rejects
from alsobought.loading.submitter import Report, Submitter
from alsobought.service.service import Service
from alsobought.storage.ledger import resume_offset, stored_offsets
from alsobought.writer.submission import Stored, Submission
from tests.conftest import NOON
from tests.support.process import write
from tests.support.project import ROOT
from tests.support.web import VIEW, stored


def submission(first: int, source: str = "file") -> Submission:
    rows = [Event(event_type="view", user_id="u", item_id=f"i{n}") for n in range(first, first + 10)]
    return Submission(rows, source, range(first, first + 10))


@contextmanager
def _no_progress(_: Rows) -> Iterator[Callable[[int], object]]:
    yield lambda _: None


def load(
    shop: Service,
    file: Path,
    layout: Layout = Layout(),  # noqa: B008 - it is frozen
    rejected: Path | None = None,
    **columns: Any,
) -> Report:
    task = LoadTask("events", file, layout, ColumnMapping(**columns))
    return load_file(task, shop.writer, Rules(shop.clock()), Rejects(rejected), _no_progress)


@pytest.fixture
def fail_batch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Service, str], None]:
    """`fail_batch(shop, "i20")`: batches with this item fail, until it is called with another."""

    def fail(shop: Service, item: str) -> None:
        original = type(shop.writers[0])._insert

        def insert(table: str, lines: bytes, token: str) -> None:
            if table == "events" and f'"item_id":"{item}"'.encode() in lines:
                raise NotStored("no room")
            original(shop.writers[0], table, lines, token)

        monkeypatch.setattr(shop.writer, "_insert", insert)

    return fail


def test_nothing_of_a_source_is_stored_after_a_batch_that_failed(
    make_shop: Callable[..., Service], fail_batch: Callable[[Service, str], None]
) -> None:
    shop = make_shop(batch_rows=10)
    fail_batch(shop, "i20")
    submitter = Submitter(shop.writer)
    with pytest.raises(NotStored, match="no room"):
        for first in range(0, 100, 10):
            submitter.send(submission(first))
        submitter.finish()
    shop.writer.submit(submission(0, "other")).result()
    assert resume_offset(shop.warehouse, "file") == 20
    assert resume_offset(shop.warehouse, "another") == 0

    fail_batch(shop, "nothing")
    for first in range(resume_offset(shop.warehouse, "file"), 50, 10):
        shop.writer.submit(submission(first)).result()
    assert stored(shop, "source, offset") == [
        *(["file", n] for n in range(20)),
        *(["other", n] for n in range(10)),
        *(["file", n] for n in range(20, 50)),
    ]


@pytest.mark.parametrize("batch_rows", [10, 25, 1000])
def test_later_submissions_fail_too_however_they_share_batches(
    make_shop: Callable[..., Service], fail_batch: Callable[[Service, str], None], batch_rows: int
) -> None:
    shop = make_shop(batch_rows=batch_rows, batch_seconds=0.2)
    fail_batch(shop, "i20")
    futures: list[Future[Stored]] = []
    for first in range(0, 60, 10):
        following = submission(first)
        following.after = futures[-1] if futures else None
        futures.append(shop.writer.submit(following))
    failed = [isinstance(future.exception(), NotStored) for future in futures]
    assert failed[2:] == [True] * 4
    assert stored(shop, "offset, source") == [[n, "file"] for n in range(10 * failed.index(True))]
    assert shop.writer.waiting == 0
    fail_batch(shop, "nothing")
    assert shop.writer.submit(submission(0, "other")).result().rows == 10


def test_stored_offsets_are_duplicates_however_long_ago_they_were_stored(
    make_shop: Callable[..., Service], tmp_path: Path
) -> None:
    now = [NOON]
    shop = make_shop(clock=lambda: now[0], batch_rows=10, dedup_window_days=7)
    file = write(tmp_path / "e.ndjson", *(VIEW | {"timestamp": "1971-01-01T00:00:00Z"} for _ in range(35)))
    assert load(shop, file).stored == 35
    now[0] += timedelta(days=300)
    again = load(shop, file)
    assert (again.already_loaded, again.stored, again.duplicates) == (True, 0, 35)
    with_other_flags = load(shop, file, dropped=frozenset(["colour"]))
    assert (with_other_flags.already_loaded, with_other_flags.stored, with_other_flags.duplicates) == (False, 0, 35)
    assert len(stored(shop)) == 35


def test_a_batch_of_many_long_ids_is_stored_once(shop: Service) -> None:
    """A server refuses a parameter of more than 128 KB."""
    rows = [
        Event(
            event_type="purchase", user_id=f"it's \\{n:030}", item_id=f"{n:040}", order_id=f"{n}", event_id=f"'{n:040}"
        )
        for n in range(5_000)
    ]
    outcomes = [shop.writer.submit(Submission(rows)).result() for _ in range(2)]
    assert [(outcome.rows, outcome.duplicates) for outcome in outcomes] == [(5_000, 0), (0, 5_000)]
    assert set(stored(shop, "user_id")) == {event.user_id for event in rows}


def test_stored_offsets_are_those_of_the_events_not_of_the_ledger(shop: Service) -> None:
    rows = submission(0)
    shop.writer.submit(Submission(rows.rows[:3], "file", [2, 5, 9])).result()
    assert stored_offsets(shop.warehouse, "file", 0, 0, 5) == {2, 5}
    assert stored_offsets(shop.warehouse, "file", 0, 10, 20) == set()
    assert stored_offsets(shop.warehouse, "other", 0, 0, 20) == set()
    assert shop.writer.submit(rows).result().rows == 7
    assert sorted(stored(shop, "offset")) == list(range(10))


def test_an_interrupted_load_with_other_flags_resumes_from_its_own_batches(
    make_shop: Callable[..., Service], tmp_path: Path, fail_batch: Callable[[Service, str], None]
) -> None:
    """The first load stored the last row; the second must not resume after it."""
    shop = make_shop(batch_rows=10)
    lines = [VIEW | {"item_id": f"i{n}"} | ({} if n % 4 else {"count": n}) for n in range(60)]
    file = write(tmp_path / "e.ndjson", *lines)
    assert load(shop, file).rejected == 15
    fail_batch(shop, "i48")
    with pytest.raises(NotStored):
        load(shop, file, dropped=frozenset(["count"]))
    fail_batch(shop, "nothing")
    report = load(shop, file, dropped=frozenset(["count"]))
    assert report.rejected == 0
    assert 0 < report.stored < 15
    assert report.stored + report.duplicates == 60
    assert sorted(stored(shop, "offset")) == list(range(1, 61))
    wrong = dict(wrong_rows(shop.warehouse, ROOT / "sql" / "checks"))
    assert wrong == dict.fromkeys(wrong, 0)


def test_a_load_that_resumes_in_an_order_fills_down_from_its_first_line(
    make_shop: Callable[..., Service], tmp_path: Path, fail_batch: Callable[[Service, str], None]
) -> None:
    """Orders of 7 lines, of which the first has the time and the status; every third order is refunded."""
    shop = make_shop(batch_rows=10)
    lines = ["order,when,status,item_id"]
    for number in range(42):
        order, line = divmod(number, 7)
        status = "refunded" if order % 3 == 2 else "paid"
        lines.append(
            f"o{order},{f'2025-01-{order + 1:02}' if line == 0 else ''},{status if line == 0 else ''},i{number}"
        )
    file = tmp_path / "orders.csv"
    file.write_text("\n".join(lines))
    flags: dict[str, Any] = {
        "mapped": {"timestamp": "when", "order_id": "order"},
        "constants": {"event_type": "purchase", "user_id": "u"},
        "fill_down": ("when", "status"),
        "fill_within": "order",
        "where": ("status=paid",),
        "drop_rest": True,
    }
    fail_batch(shop, "i24")  # the fourth line of o3
    with pytest.raises(NotStored):
        load(shop, file, **flags)
    assert 0 < len(stored(shop)) < 28
    fail_batch(shop, "nothing")
    report = load(shop, file, **flags)
    assert (report.stored + report.duplicates, report.left_out, report.rejected) == (28, 14, 0)
    assert stored(shop, "item_id, order_id, toString(toDate(timestamp))") == [
        [f"i{number}", f"o{number // 7}", f"2025-01-{number // 7 + 1:02}"]
        for number in range(42)
        if number // 7 % 3 != 2
    ]


def test_a_load_that_resumes_between_the_elements_of_a_row_stores_and_rejects_each_once(
    make_shop: Callable[..., Service], tmp_path: Path, fail_batch: Callable[[Service, str], None]
) -> None:
    """Carts of 7 items, of which the sixth has no ID."""
    shop = make_shop(batch_rows=10)
    carts = [
        {"user": f"u{cart}", "items": [{"sku": f"i{cart}-{line}" if line != 5 else ""} for line in range(7)]}
        for cart in range(6)
    ]
    file, rejected = write(tmp_path / "carts.ndjson", *carts), tmp_path / "rejected.ndjson"
    flags: dict[str, Any] = {
        "mapped": {"user_id": "user", "item_id": "items.sku"},
        "constants": {"event_type": "add_to_cart"},
        "each": "items",
    }
    fail_batch(shop, "i4-4")
    with pytest.raises(NotStored):
        load(shop, file, rejected=rejected, **flags)
    fail_batch(shop, "nothing")
    report = load(shop, file, rejected=rejected, **flags)
    assert (report.stored + report.duplicates, report.rejected) == (36, 6)
    assert stored(shop, "item_id, user_id") == [
        [f"i{cart}-{line}", f"u{cart}"] for cart in range(6) for line in range(7) if line != 5
    ]
    lines = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert [(line["row"], line["problem"]) for line in lines] == [(row, "item_id: missing") for row in range(1, 7)]
    assert load(shop, file, rejected=rejected, **flags).already_loaded


# Messages of analytics tools


TRACK = {"type": "track", "event": "Product Viewed", "userId": "ada", "properties": {"product_id": "tea"}}
ORDER = {"type": "track", "event": "Order Completed", "userId": "ada", "messageId": "m2"}
ORDER["properties"] = {"order_id": "o", "products": [{"product_id": "tea"}, {"product_id": "pot"}]}  # type: ignore[assignment]
FAULTY = TRACK | {"properties": {}}


@pytest.mark.parametrize("layout", [Layout(), Layout("segment")])
def test_an_archive_of_calls_is_loaded_once_and_the_foreign_ones_are_skipped(
    shop: Service, tmp_path: Path, layout: Layout
) -> None:
    calls = [ORDER, {"type": "page"}, TRACK, {"type": "identify", "userId": "ada", "anonymousId": "d"}, FAULTY]
    file = write(tmp_path / "archive.ndjson", "\n".join(map(json.dumps, calls)))
    with open_rows(file, layout) as rows:
        check_sample(rows, "events", ColumnMapping(), Rules(shop.clock()), force=False)
    report = load(shop, file, layout)
    assert (report.stored, report.duplicates, report.rejected, report.skipped) == (3, 0, 1, 2)
    assert stored(shop, "item_id, order_id, offset, user_id") == [
        ["tea", "o", 1, "ada"],
        ["pot", "o", 1, "ada"],
        ["tea", "", 3, "ada"],
    ]
    again = load(shop, file, layout)
    assert (again.already_loaded, again.stored, again.duplicates) == (True, 0, 3)


def test_a_format_decides_how_every_row_is_read_and_takes_no_flags_for_columns(shop: Service, tmp_path: Path) -> None:
    file = write(tmp_path / "bodies.json", json.dumps([{"client_id": "c", "events": []}, {"client_id": "c"}]))
    report = load(shop, file, Layout("ga4"))
    assert (report.stored, report.rejected, report.skipped) == (0, 1, 1)
    with pytest.raises(Unusable, match="--format ga4 is for events, without flags for columns"):
        load(shop, file, Layout("ga4"), dropped=frozenset({"client_id"}))
