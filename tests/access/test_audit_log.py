"""The audit log: an entry before each action, its outcome after it, and no action without."""

from __future__ import annotations

import contextlib
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from alsobought.access.audit import Actor, as_json, bounded, changed_text, operator
from alsobought.access.audit_log import MAX_COUNTED, WINDOW_SECONDS, AuditLog
from alsobought.errors import NotSaved, NotStored
from alsobought.storage.warehouse import AUDIT_TABLE, Warehouse
from tests.support.kafka import until

ADA = Actor(via="api", id="k1", name="ada", address="203.0.113.9")


class Table:
    """A warehouse that keeps inserted rows, and refuses them while it is full."""

    def __init__(self) -> None:
        self.inserts: list[list[dict[str, Any]]] = []
        self.full = False
        self.before = threading.Event()
        self.before.set()

    def insert(self, table: str, lines: bytes) -> None:
        assert table == AUDIT_TABLE
        self.before.wait(10)
        if self.full:
            raise NotStored("the disk is full")
        self.inserts.append([json.loads(line) for line in lines.splitlines()])

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for insert in self.inserts for row in insert]


class Clock:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def log(table: Table) -> AuditLog:
    return AuditLog(cast(Warehouse, table), Clock())


def test_an_entry_is_stored_before_its_action_and_its_outcome_after(log: AuditLog, table: Table) -> None:
    with log.recorded(ADA, "items.write", "", {"items": 3}) as result:
        (begun,) = table.rows
        result["stored"] = 2
    finished = table.rows[1]
    assert (begun["actor"], begun["actor_name"], begun["address"]) == ("k1", "ada", "203.0.113.9")
    assert (begun["action"], json.loads(begun["detail"]), "outcome" in begun) == ("items.write", {"items": 3}, False)
    assert (finished["outcome"], json.loads(finished["result"])) == ("done", {"stored": 2})
    assert (finished["entry_id"], finished["time"]) == (begun["entry_id"], begun["time"])


def test_what_cannot_be_recorded_does_not_happen(log: AuditLog, table: Table) -> None:
    table.full = True
    happened = False
    message = "the audit log cannot be written, and nothing is changed without it"
    with pytest.raises(NotStored, match=message), log.recorded(ADA, "key.revoke"):
        happened = True
    assert not happened


def test_a_failure_is_recorded_by_its_kind_and_without_its_text(log: AuditLog, table: Table) -> None:
    with pytest.raises(NotSaved), log.recorded(ADA, "pipe.save"):
        raise NotSaved("'ada' is somebody's user_id")
    with pytest.raises(KeyboardInterrupt), log.recorded(ADA, "load"):
        raise KeyboardInterrupt
    outcomes = [(row["outcome"], json.loads(row["result"])) for row in table.rows if "outcome" in row]
    assert outcomes == [("failed", {"error": "not_saved"}), ("failed", {"error": "KeyboardInterrupt"})]


def test_an_outcome_that_cannot_be_stored_is_logged_and_leaves_the_entry_begun(
    log: AuditLog, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    with log.recorded(ADA, "counts.rebuild", "co_baskets"):
        table.full = True
    assert len(table.rows) == 1
    assert "the audit log lacks the outcome of counts.rebuild co_baskets" in caplog.text


def test_frequent_actions_are_one_entry_for_each_window(log: AuditLog, table: Table) -> None:
    for _ in range(5):
        log.count(ADA, "token.issue")
    assert [row["times"] for row in table.rows] == [1], "the first is stored at once"
    log.flush()
    log.flush()
    assert [row["times"] for row in table.rows] == [1, 5]
    log.count(ADA, "token.issue")
    cast(Clock, log._clock).now += timedelta(seconds=WINDOW_SECONDS)
    log.count(ADA, "token.issue")
    assert [row["times"] for row in table.rows] == [1, 5, 6, 1], "the count of a window that is over is stored"
    assert len({row["entry_id"] for row in table.rows}) == 2


def test_many_addresses_do_not_fill_the_log_nor_take_the_names_of_other_actions(log: AuditLog, table: Table) -> None:
    for number in range(3 * MAX_COUNTED):
        log.count(Actor(via="workbench", address=f"10.0.{number // 256}.{number % 256}"), "workbench.log_in_failed")
    log.count(ADA, "token.issue")
    log.flush()
    failed = {row["entry_id"] for row in table.rows if row.get("action") == "workbench.log_in_failed"}
    assert len(failed) == MAX_COUNTED + 1
    assert max(row["times"] for row in table.rows) == 2 * MAX_COUNTED
    assert [row["actor"] for row in table.rows if row.get("action") == "token.issue"] == ["k1"]


def test_a_first_one_that_cannot_be_recorded_is_tried_again_with_the_next(log: AuditLog, table: Table) -> None:
    table.full = True
    with pytest.raises(NotStored):
        log.count(ADA, "token.issue")
    table.full = False
    log.count(ADA, "token.issue")
    assert [row["times"] for row in table.rows] == [2]


def test_callers_who_wait_share_an_insert(log: AuditLog, table: Table) -> None:
    table.before.clear()

    def act() -> None:
        with log.recorded(ADA, "items.write"):
            pass

    threads = [threading.Thread(target=act) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(log._waiting) < 7:  # the eighth is being inserted
        pass
    table.before.set()
    for thread in threads:
        thread.join()
    assert len(table.rows) == 16
    assert len(table.inserts[1]) >= 7


def test_details_are_bounded_and_hold_no_secrets() -> None:
    key = "ab_secret_abcdefghij_" + "s" * 43
    assert bounded(f"x\x1b{key}") == "x\N{REPLACEMENT CHARACTER}ab_secret_abcdefghij…"
    assert len(bounded("x" * 10_000)) == 300
    assert as_json({"text": "x" * 10_000}) == '{"left_out":["text"]}'
    changed = changed_text("a\n" * 5_000, "b\n" * 5_000)
    assert (changed["added"], changed["removed"], len(changed["diff"])) == (5_000, 5_000, 4_000)


def test_a_command_is_that_of_the_user_of_the_system_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    who = operator()
    monkeypatch.setenv("LOGNAME", "mallory")
    monkeypatch.setenv("USER", "mallory")
    assert (operator().id, operator().via) == (who.id, "command line")


def test_no_waiting_action_goes_ahead_when_an_insert_ends_in_an_unexpected_way(log: AuditLog, table: Table) -> None:
    done: list[str] = []

    def act(name: str) -> None:
        with contextlib.suppress(NotStored, RuntimeError), log.recorded(ADA, "items.write", name):
            done.append(name)

    def fail(_table: str, lines: bytes) -> None:
        if lines:
            raise RuntimeError("out of memory")

    table.insert = fail  # type: ignore[method-assign, assignment]
    log._inserting.acquire()  # so that both wait, and one stores the rows of both
    threads = [threading.Thread(target=act, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    until(lambda: len(log._waiting) == 2)
    log._inserting.release()
    for thread in threads:
        thread.join(10)
    assert not done
