"""Users who move between shards: the shards together hold what one warehouse would, and each equals a recompute."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from alsobought.authoring.pipe_tests import clear_service
from alsobought.counts.consistency import check
from alsobought.counts.sum_checks import wrong_rows
from alsobought.errors import BadRequest, Unusable
from alsobought.events import Event
from alsobought.privacy.across_shards import forget_across, merge_across, unmerge_across
from alsobought.service.service import Service
from alsobought.writer import user_move
from alsobought.writer.recovery import recover
from alsobought.writer.submission import Submission
from alsobought.writer.user_move import move_users, resume_moves
from tests.counts.test_invariant import CHECKS, START, apply_refunds, events, right
from tests.support.embedded_shards import Shards, all_events, all_rows, summed_counts
from tests.support.engines import Engine, drop

FORGOTTEN_AT = START + timedelta(minutes=150)
USERS = ("ada", "bruno", "cleo")


@pytest.fixture(scope="module")
def three(on: Engine) -> Iterator[tuple[Shards, Service]]:
    """Two shards and a warehouse that has all users."""
    shops = [on.shop(name, clock=lambda: FORGOTTEN_AT) for name in ("shard_a", "shard_b", "alone")]
    shards = Shards(shops[:2])
    shards.restart()
    yield shards, shops[2]
    for shop in [*shards.shops, shops[2]]:
        drop(shop)


@pytest.fixture
def shards(three: tuple[Shards, Service]) -> Shards:
    three[0].clear()
    return three[0]


steps = st.lists(
    st.one_of(
        st.lists(events, min_size=1, max_size=12),
        st.lists(events, min_size=4, max_size=12),
        st.sampled_from([("move", user) for user in USERS]),
        st.sampled_from(
            [
                ("merge", "ada", "bruno"),
                ("merge", "bruno", "cleo"),
                ("unmerge", "ada"),
                ("unmerge", "bruno"),
                ("forget", "ada"),
                ("forget", "cleo"),
                ("again",),
                ("restart",),
                ("replay",),
            ]
        ),
    ),
    min_size=3,
    max_size=8,
)


@pytest.mark.thorough
@pytest.mark.journey
@given(steps=steps)
@settings(
    max_examples=int(os.environ.get("EXAMPLES", "10")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
def test_shards_hold_together_what_one_warehouse_would(
    three: tuple[Shards, Service], steps: list[list[Event] | tuple[str, ...]]
) -> None:
    shards, alone = three
    shards.clear()
    clear_service(alone)
    alone.writer.identities.refresh()
    numbers = itertools.count()
    sent: list[Event] = []
    for step in steps:
        match step:
            case list():
                sent = [msgspec.structs.replace(event, event_id=f"n{next(numbers)}") for event in step]
                _send(shards, alone, sent)
            case ("again",):
                _send(shards, alone, sent)
            case ("restart",):
                shards.restart()
                resume_moves(shards.writers, shards.shard_of)
            case ("replay",):
                for shop in shards.shops:
                    recover(shop.warehouse)
            case ("move", str(user)):
                account = user_move.accounts_across(shards.writers, [user]).get(user, user)
                here = shards.shard_of(account)
                move_users(shards.writers[here], shards.writers[1 - here], [account])
                shards.homes[account] = 1 - here
            case (str(what), *users):
                _do_both(shards, alone, what, users)
    for writer in (*shards.writers, alone.writers[0]):
        apply_refunds(writer)
    assert_right(shards)
    assert all_events(shards.shops) == all_events([alone])
    assert summed_counts(shards.shops) == summed_counts([alone])
    merges = "select guest_id, user_id, merged_into from {}.user_merges final"
    assert all_rows(shards.shops, merges.format) == all_rows([alone], merges.format)


def _send(shards: Shards, alone: Service, sent: list[Event]) -> None:
    shards.send(sent)
    if sent:
        alone.writer.submit(Submission(sent)).result()


def _do_both(shards: Shards, alone: Service, what: str, users: list[str]) -> None:
    across: dict[str, Any] = {"merge": merge_across, "unmerge": unmerge_across, "forget": forget_across}
    try:
        alone.do(what, *users)
    except (BadRequest, Unusable) as error:
        with pytest.raises(type(error)) as refused:
            across[what](shards.writers, shards.shard_of, *users)
        assert str(refused.value) == str(error)
    else:
        across[what](shards.writers, shards.shard_of, *users)


def assert_right(shards: Shards) -> None:
    """Every table of each shard equals a recompute, serving tables too."""
    for shop in shards.shops:
        assert dict(wrong_rows(shop.warehouse, CHECKS)) == right()
        assert check(shop.warehouse.another(), shop.do, CHECKS).wrong == []
