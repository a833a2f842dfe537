"""Users of two shards: merges, their undoing and erasures, while others store events."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from alsobought.errors import BadRequest, NotStored
from alsobought.events import Event
from alsobought.privacy import across_shards
from alsobought.service.service import Service
from alsobought.storage.topology import shard_index
from alsobought.writer import user_move
from alsobought.writer.submission import Submission
from tests.cluster.purchases import purchases, shards_of_cluster, stored

pytestmark = pytest.mark.journey  # two servers take seconds to start


def events_of(user: str, count: int, prefix: str = "") -> list[Event]:
    """Events of one user; the ids begin with the prefix."""
    return [
        msgspec.structs.replace(event, user_id=user, event_id=f"{prefix}{user}:{number}")
        for number, event in enumerate(purchases(count, user))
    ]


def pair(prefix: str) -> tuple[str, str]:
    """A guest of the first shard and an account of the second."""
    names = [f"{prefix}{number}" for number in range(20)]
    guest = next(name for name in names if shard_index(name, 2) == 0)
    return guest, next(name for name in names if shard_index(name, 2) == 1)


def put(shop: Service, *events: Event) -> None:
    shop.writer.submit(Submission(list(events))).result()


def users_of(shop: Service, prefix: str) -> list[Counter[str]]:
    """The number of events of each user, for each shard."""
    return [
        Counter(
            user
            for (user,) in shard.trusted_rows(
                f"select user_id from {shard.database}.events where startsWith(user_id, '{prefix}')"
            ).data
        )
        for shard in shards_of_cluster(shop)
    ]


def test_a_guest_moves_to_the_shard_of_the_account_with_all_later_events_and_back(
    open_shop: Callable[..., Service],
) -> None:
    shop, (guest, account) = open_shop(), pair("merged")
    put(shop, *events_of(guest, 30), *events_of(account, 20))
    assert shop.do("merge", guest, account) == {"user_id": account, "events": 30}
    assert users_of(shop, "merged") == [Counter(), Counter({account: 50})]
    put(shop, *events_of(guest, 4, "later"))
    assert users_of(shop, "merged") == [Counter(), Counter({account: 54})]
    assert shop.do("merge", guest, account)["events"] == 0
    with pytest.raises(BadRequest):
        shop.do("merge", account, account)
    assert shop.do("unmerge", guest)["events"] == 34
    assert users_of(shop, "merged") == [Counter({guest: 34}), Counter({account: 20})]
    put(shop, *events_of(guest, 1, "last"))
    assert users_of(shop, "merged") == [Counter({guest: 35}), Counter({account: 20})]


def test_an_erasure_is_recorded_on_every_shard_so_that_late_events_of_guests_are_dropped(
    open_shop: Callable[..., Service],
) -> None:
    shop, (guest, account) = open_shop(), pair("gone")
    late = events_of(guest, 3, "late")
    put(shop, *events_of(guest, 10), *events_of(account, 10))
    shop.do("merge", guest, account)
    receipt = shop.do("forget", account)
    assert {row["table"]: row["rows_before"] for row in receipt["tables"]}["events"] == 20
    assert users_of(shop, "gone") == [Counter(), Counter()]
    put(shop, *late)
    assert stored(shop, "gone") == [Counter(), Counter()]
    put(shop, *purchases(50, "others"))


def test_a_merge_by_another_process_is_known_before_the_guests_next_event_is_stored(
    open_shop: Callable[..., Service],
) -> None:
    shop, other, (guest, account) = open_shop(), open_shop(), pair("shared")
    put(shop, *events_of(guest, 5), *events_of(account, 5))
    other.do("merge", guest, account)
    later = [*events_of(guest, 2, "later"), *events_of(account, 2, "later")]
    with suppress(NotStored):  # unless this process has seen a merge before, and asked for the account
        put(shop, *later)
    put(shop, *later)  # as a caller does who was refused
    assert users_of(shop, "shared") == [Counter(), Counter({account: 14})]


@pytest.mark.thorough
@pytest.mark.parametrize("step", ["_rewrite", "merge"])
def test_a_merge_that_failed_half_way_is_finished_before_the_next_event_is_stored(
    open_shop: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Once after the account's shard adopted the guest, and once after the guest left the other."""
    shop, (guest, account) = open_shop(), pair(f"broken{step}")
    put(shop, *events_of(guest, 5), *events_of(account, 5))
    module = user_move if step == "_rewrite" else across_shards
    whole, calls = getattr(module, step), itertools.count()

    def fails(*arguments: Any, **options: Any) -> Any:
        if next(calls) == (1 if step == "_rewrite" else 0):
            raise NotStored("the shard does not answer")
        return whole(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(NotStored):
        patch.setattr(module, step, fails)
        shop.do("merge", guest, account)
    put(shop, *events_of(account, 1, "later"))
    assert sum(sum(users_of(shop, f"broken{step}"), Counter()).values()) == 11
    shop.do("merge", guest, account)
    assert users_of(shop, f"broken{step}") == [Counter(), Counter({account: 11})]
