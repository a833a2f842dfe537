"""The threads of the embedded engine have a lower priority than those of Python."""

from __future__ import annotations

import os
import threading

import pytest

from alsobought.service.engine_priority import NICENESS, TASKS, EnginePriority
from alsobought.service.service import Service

pytestmark = pytest.mark.skipif(not TASKS.is_dir(), reason="there is no /proc here")


def test_threads_of_the_engine_yield_to_those_of_python(shop: Service) -> None:
    ran = shop.warehouse.rows("select count() from numbers(10)" if shop.warehouse.embedded else "select 1")
    assert ran.data
    own = os.getpriority(os.PRIO_PROCESS, 0)
    priority = EnginePriority()
    priority.lower()
    priority.lower()
    python = {thread.native_id for thread in threading.enumerate()}
    niceness = {int(task.name): os.getpriority(os.PRIO_PROCESS, int(task.name)) for task in TASKS.iterdir()}
    assert {niceness[thread] for thread in niceness if thread in python} == {own}
    if shop.warehouse.embedded:
        assert {niceness[thread] for thread in niceness if thread not in python} == {max(own, NICENESS)}


def test_a_thread_that_python_starts_later_keeps_its_priority() -> None:
    priority = EnginePriority()
    priority.lower()
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(os.getpriority(os.PRIO_PROCESS, 0)))
    thread.start()
    thread.join()
    priority.lower()
    assert found == [os.getpriority(os.PRIO_PROCESS, 0)]
