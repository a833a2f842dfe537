"""One run at a time: two warehouses of one process stand for two runs on one server."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from alsobought.errors import MigrationFault
from alsobought.migrations import lock
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.warehouse import Warehouse
from tests.support.engines import Engine

_numbers = itertools.count()


@pytest.fixture
def both(on: Engine) -> Iterator[tuple[Warehouse, Warehouse]]:
    settings = on.settings(database=f"locked_{next(_numbers)}")
    one, other = open_warehouse(settings), open_warehouse(settings)
    yield one, other
    one.command(f"drop database {settings.database}")
    for warehouse in (one, other):
        warehouse.close()


def gone() -> int:
    """The id of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def left_by(warehouse: Warehouse, **facts: object) -> lock.LockHolder:
    """A lock of another run, which nobody will release."""
    holder = msgspec.structs.replace(lock.this_process(), **facts)
    assert lock._create(warehouse, lock.LOCK, holder)
    return holder


def refusal(warehouse: Warehouse) -> str:
    with pytest.raises(MigrationFault) as raised, lock.held(warehouse):
        pass
    return str(raised.value)


def test_the_second_run_is_told_who_holds_the_lock_and_since_when(both: tuple[Warehouse, Warehouse]) -> None:
    one, other = both
    with lock.held(one):
        said = refusal(other)
        holder = lock.holder(one)
        assert holder
        assert f"process {os.getpid()} on {socket.gethostname()} since {holder.since}" in said
        assert "alsobought migrate up --break-lock" in said
        assert lock.holder(other) == holder, "the refused one leaves it alone"
    with lock.held(other):
        pass
    assert one.tables() == frozenset()


def test_a_run_that_fails_lets_the_lock_go(both: tuple[Warehouse, Warehouse]) -> None:
    with pytest.raises(ZeroDivisionError), lock.held(both[0]):
        raise ZeroDivisionError
    assert both[0].tables() == frozenset()


def test_the_lock_of_a_dead_process_of_this_host_is_taken_over(both: tuple[Warehouse, Warehouse]) -> None:
    dead = left_by(both[0], pid=gone())
    with lock.held(both[1]):
        assert lock.holder(both[0]) not in (None, dead)
        assert both[0].tables() == {lock.LOCK}
    assert both[0].tables() == frozenset()


@pytest.mark.parametrize("facts", [{"host": "elsewhere"}, {"pid": os.getpid()}, {"pid": 1}, {"pid": 0}])
def test_a_lock_whose_process_lives_or_cannot_be_seen_is_left_until_it_is_broken(
    both: tuple[Warehouse, Warehouse], facts: dict[str, object]
) -> None:
    if facts == {"host": "elsewhere"}:
        facts = facts | {"pid": gone()}
    left = left_by(both[0], **facts)
    assert f"process {left.pid} on {left.host}" in refusal(both[1])
    assert lock.holder(both[1]) == left
    with lock.held(both[1], break_lock=True):
        assert lock.holder(both[1]) != left
    assert both[1].tables() == frozenset()


def test_of_two_that_find_a_dead_holder_only_one_takes_over(both: tuple[Warehouse, Warehouse]) -> None:
    dead = left_by(both[0], pid=gone())
    assert lock._create(both[0], f"{lock.LOCK}_{dead.token}", lock.this_process())
    assert "is being migrated by process" in refusal(both[1])
    assert lock.holder(both[0]) == dead
    with lock.held(both[1], break_lock=True):
        assert both[1].tables() == {lock.LOCK}


def test_one_that_comes_late_to_a_dead_holder_does_not_remove_its_successor(
    both: tuple[Warehouse, Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = left_by(both[0], pid=gone())
    late = iter([dead])
    see = lock.holder
    with lock.held(both[0]):
        successor = lock.holder(both[0])
        monkeypatch.setattr(
            lock, "holder", lambda warehouse, table="migrating": next(late, None) or see(warehouse, table)
        )
        assert "is being migrated by process" in refusal(both[1])
        assert see(both[0], lock.LOCK) == successor
    assert both[0].tables() == frozenset()


def test_a_lock_that_says_nothing_is_told_too(both: tuple[Warehouse, Warehouse]) -> None:
    both[0].command(f"create table {both[0].database}.migrating (x UInt8) engine = Memory")
    assert "process 0 on an unknown host since an unknown time" in refusal(both[1])
