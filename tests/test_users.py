"""Forgetting and merging users: afterwards every table is as if they had never been, or had always been the other."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.cases import empty
from app.counts import wrong_rows
from app.errors import Unusable
from app.events import Event
from app.intake import Submission
from app.shop import Shop
from tests.engines import Engine, drop
from tests.fold import fold, tables
from tests.test_counts import CHECKS, START, _checked, _happened, events

FORGOTTEN_AT = START + timedelta(minutes=150)


@pytest.fixture(scope="module")
def emptied(on: Engine) -> Iterator[Callable[[], Shop]]:
    shop = on.shop("users", clock=lambda: FORGOTTEN_AT)

    def emptied() -> Shop:
        empty(shop)
        return shop

    yield emptied
    drop(shop)


steps = st.lists(
    st.one_of(
        st.lists(events, min_size=1, max_size=12),
        st.just(("forget", "ada")),
        st.just(("forget", "bruno")),
        st.just(("merge", "ada", "bruno")),
    ),
    min_size=2,
    max_size=6,
)


@given(steps=steps)
@settings(
    max_examples=int(os.environ.get("EXAMPLES", "20")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate],
)
def test_users_who_go_or_become_another_leave_the_tables_as_if_they_had_never_been_or_always_been(
    emptied: Callable[[], Shop], steps: list[list[Event] | tuple[str, ...]]
) -> None:
    shop = emptied()
    shop.writer.people.read()
    numbers = itertools.count()
    kept: list[Event] = []
    account = {"ada": "ada", "bruno": "bruno"}
    forgotten: set[str] = set()
    for step in steps:
        if isinstance(step, list):
            rows = [msgspec.structs.replace(event, event_id=f"n{next(numbers)}") for event in step]
            shop.writer.submit(Submission(rows)).result()
            late = [event for event in rows if event.user_id in forgotten and _time(event) <= FORGOTTEN_AT]
            kept += [
                msgspec.structs.replace(event, user_id=account[event.user_id]) for event in rows if event not in late
            ]
        elif step[0] == "forget" and account[step[1]] != step[1]:
            with pytest.raises(Unusable, match="was merged into 'bruno'. Forget that one"):
                shop.do("forget", step[1])
        elif step[0] == "forget":
            user = step[1]
            shop.do("forget", user)
            kept = [event for event in kept if event.user_id != user]
            guests = {guest for guest, of in account.items() if user in (guest, of)}
            forgotten |= guests
            account |= {guest: guest for guest in guests}
        elif account["bruno"] != "ada":
            shop.do("merge", "ada", "bruno")
            kept = [
                msgspec.structs.replace(event, user_id="bruno") if event.user_id == "ada" else event for event in kept
            ]
            account["ada"] = "bruno"
        kept.sort(key=lambda event: int(event.event_id[1:]))
        assert tables(shop.warehouse) == fold([_happened(event) for event in kept])
        assert dict(wrong_rows(shop.warehouse, CHECKS)) == dict.fromkeys(_checked(), 0)


def _time(event: Event) -> datetime:
    assert isinstance(event.timestamp, datetime)
    return event.timestamp
