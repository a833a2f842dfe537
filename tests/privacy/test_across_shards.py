"""Users who move between shards: the shards together hold what one warehouse would, and each equals a recompute."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from alsobought.items import Item
from alsobought.privacy import across_shards
from alsobought.privacy.across_shards import forget_across, merge_across, unmerge_across
from alsobought.privacy.erasure import Receipt, verify
from alsobought.service.service import Service
from alsobought.storage import mutation_journal
from alsobought.storage.topology import shard_index
from alsobought.users import User
from alsobought.writer import move_halves, resharding, user_move, user_rewrite
from alsobought.writer.recovery import recover
from alsobought.writer.resharding import Resharding
from alsobought.writer.submission import MaintenanceTask, Submission, utc_now
from alsobought.writer.user_move import move_users, resume_moves
from alsobought.writer.writer import Writer
from tests.counts.test_invariant import CHECKS, START, apply_refunds, events, right
from tests.support.embedded_shards import Shards, all_events, all_rows, summed_counts
from tests.support.engines import Engine, drop
from tests.support.project import ROOT

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


GUEST, ACCOUNT = "s1", "ada"  # of two shards
BOUGHT = {"event_type": "purchase", "item_id": "tea", "order_id": "o1", "timestamp": START}


def send(shards: Shards, *events: dict[str, object]) -> None:
    rows = [msgspec.convert({"event_type": "view", "timestamp": START, **event}, Event) for event in events]
    shards.send(rows)


def two_users(shards: Shards) -> list[Event]:
    """A guest and an account on two shards, with an order each, and a user beside each of them; sends their events."""
    shards.homes = {GUEST: 0, ACCOUNT: 1, "bruno": 0, "cleo": 1}
    rows = [
        {**BOUGHT, "user_id": user, "item_id": item, "order_id": f"o-{user}", "event_id": f"{user} {item}"}
        for user, items in ((GUEST, "abc"), (ACCOUNT, "bcd"), ("bruno", "ab"), ("cleo", "cd"))
        for item in items
    ]
    rows += [{"user_id": GUEST, "item_id": "a", "event_id": "seen", "session_id": "x", "event_type": "view"}]
    rows += [{"user_id": GUEST, "event_type": "refund", "item_id": "c", "order_id": f"o-{GUEST}", "event_id": "back"}]
    sent = [msgspec.convert({"timestamp": START, **row}, Event) for row in rows]
    sent.append(msgspec.convert({"event_type": "view", "user_id": GUEST, "item_id": "d", "event_id": "newest"}, Event))
    shards.send(sent[:-1])
    shards.send(sent[-1:])  # a batch that is newer than all of the account's shard
    for user, plan in ((GUEST, "free"), ("bruno", "pro")):
        about = User(user_id=user, attributes={"plan": plan})
        shards.writers[shards.shard_of(user)].submit(Submission([about])).result()
    return sent


def whose(shards: Shards) -> list[dict[str, int]]:
    """The number of events of each user, by shard."""
    sql = "select user_id, count() from {}.events group by user_id order by user_id"
    return [dict(shop.warehouse.trusted_rows(sql.format(shop.warehouse.database)).data) for shop in shards.shops]


def attributes(shards: Shards) -> list[list[Any]]:
    return all_rows(shards.shops, "select user_id, toString(attributes) from {}.users final where not removed".format)


@pytest.mark.thorough
def test_a_guest_of_another_shard_is_merged_and_given_back(shards: Shards) -> None:
    sent = two_users(shards)
    before, attributes_before = all_events(shards.shops), attributes(shards)
    merged = merge_across(shards.writers, shards.shard_of, GUEST, ACCOUNT)
    assert merged == {"user_id": ACCOUNT, "events": 6}
    assert whose(shards) == [{"bruno": 2}, {ACCOUNT: 9, "cleo": 2}]
    assert attributes(shards) == [[ACCOUNT, "{'plan':['free']}"], ["bruno", "{'plan':['pro']}"]]
    for shop in shards.shops:
        recover(shop.warehouse)
    shards.send(sent)
    assert sum(whose(shards)[1].values()) == 11, "what was stored on the guest's shard is recognized here"
    assert merge_across(shards.writers, shards.shard_of, GUEST, ACCOUNT)["events"] == 0
    assert unmerge_across(shards.writers, shards.shard_of, GUEST)["events"] == 6
    assert (all_events(shards.shops), attributes(shards)) == (before, attributes_before)
    assert whose(shards) == [{"bruno": 2, GUEST: 6}, {ACCOUNT: 3, "cleo": 2}]
    assert_right(shards)
    with pytest.raises(BadRequest, match="'s1' is not merged into an account"):
        unmerge_across(shards.writers, shards.shard_of, GUEST)


@pytest.mark.thorough
def test_an_erasure_is_recorded_on_every_shard_and_has_one_receipt(shards: Shards) -> None:
    two_users(shards)
    merge_across(shards.writers, shards.shard_of, GUEST, ACCOUNT)
    for shop in shards.shops:
        letter = {"source": "k", "topic": "t", "partition": 0, "reason": "r", "encoding": "utf-8", "offset": 1}
        shop.warehouse.insert("dead_letters", msgspec.json.encode({**letter, "body": f'{{"user_id": "{GUEST}"}}'}))
    with pytest.raises(Unusable, match="'s1' was merged into 'ada'"):
        forget_across(shards.writers, shards.shard_of, GUEST)
    receipt = msgspec.convert(forget_across(shards.writers, shards.shard_of, ACCOUNT), Receipt)
    rows = {part.table: (part.rows_before, part.rows_after) for part in receipt.tables}
    assert receipt.sealed() == receipt
    assert (rows["events"], rows["user_items"]) == ((9, 0), (7, 0))
    assert all_rows(shards.shops, "select offset from {}.dead_letters".format) == []
    send(shards, {"user_id": GUEST, "item_id": "late"}, {"user_id": ACCOUNT, "item_id": "late"})
    assert whose(shards) == [{"bruno": 2}, {"cleo": 2}]
    for shop in shards.shops:
        assert not any(verify(shop.warehouse, receipt, ROOT).remaining.values())
    assert_right(shards)


class Killed(BaseException):
    """Stands for SIGKILL: nobody notes that a change was abandoned."""


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch, shards: Shards) -> Callable[[str, Callable[[], object]], bool]:
    """`kill_at("move.noted", action)` ends the action at this failpoint; both writers start again and moves are resumed.

    False if the action never reached it.
    """

    def kill_at(point: str, action: Callable[[], object]) -> bool:
        with killed_at(monkeypatch, point):
            try:
                action()
            except Killed:
                killed = True
            else:
                killed = False
        shards.restart()
        resume_moves(shards.writers, shards.shard_of)
        return killed

    return kill_at


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, point: str, times: int = 1) -> Iterator[None]:
    """Within this, what reaches a failpoint for this time ends there."""
    reached = itertools.count(1)

    def reach(name: str) -> None:
        if name == point and next(reached) == times:
            raise Killed(point)

    with monkeypatch.context() as crashing:
        for module in (user_move, move_halves, user_rewrite, across_shards, resharding):
            crashing.setattr(module, "reach", reach)
        crashing.setattr(mutation_journal, "abandon", lambda *_: None)
        crashing.setattr(Writer, "_run_task", run_task_until_killed)
        yield


def run_task_until_killed(writer: Writer, task: MaintenanceTask) -> None:
    try:
        task.done.set_result(writer._run_exclusive(task.action))
    except BaseException as error:
        task.done.set_exception(error)


STEPS_OF_A_MOVE = [
    *("move.staged", "move.noted", "move.adopted", "move.left"),
    *("adopt.begun", "adopt.noted", "adopt.co_baskets", "adopt.ingest_batches", "adopt.user_items"),
    *("adopt.attached", "adopt.recorded", "adopt.ended"),
    *("leave.begun", "leave.co_baskets", "leave.ingest_batches", "leave.user_items"),
    *("leave.noted", "leave.deleted", "leave.ended"),
]


@pytest.mark.thorough
@pytest.mark.parametrize("step", STEPS_OF_A_MOVE)
def test_a_merge_that_is_killed_while_the_guest_moves_has_not_happened(
    shards: Shards, kill_at: Callable[..., bool], step: str
) -> None:
    sent = two_users(shards)
    before, counts, known = all_events(shards.shops), summed_counts(shards.shops), attributes(shards)
    assert kill_at(step, lambda: merge_across(shards.writers, shards.shard_of, GUEST, ACCOUNT))
    assert whose(shards) == [{"bruno": 2, GUEST: 6}, {ACCOUNT: 3, "cleo": 2}]
    shards.send(sent)
    assert (all_events(shards.shops), summed_counts(shards.shops), attributes(shards)) == (before, counts, known)
    assert_right(shards)
    assert not any(mutation_journal.open_notes(writer.warehouse) for writer in shards.writers)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("undo", "step", "happened"),
    [
        (False, "move.adopted", False),
        pytest.param(False, "across.moved", False, marks=pytest.mark.thorough),
        pytest.param(False, "rewrite.item_totals", True, marks=pytest.mark.thorough),
        pytest.param(False, "across.merged", True, marks=pytest.mark.thorough),
        pytest.param(True, "rewrite.item_totals", True, marks=pytest.mark.thorough),
        pytest.param(True, "across.unmerged", True, marks=pytest.mark.thorough),
        pytest.param(True, "move.adopted", True, marks=pytest.mark.thorough),
        pytest.param(True, "across.moved_back", True, marks=pytest.mark.thorough),
    ],
)
def test_a_merge_or_its_undoing_that_is_killed_has_happened_or_not(
    shards: Shards, kill_at: Callable[..., bool], undo: bool, step: str, happened: bool
) -> None:
    two_users(shards)
    if undo:
        merge_across(shards.writers, shards.shard_of, GUEST, ACCOUNT)
        assert kill_at(step, lambda: unmerge_across(shards.writers, shards.shard_of, GUEST))
    else:
        assert kill_at(step, lambda: merge_across(shards.writers, shards.shard_of, GUEST, ACCOUNT))
    merged = happened != undo
    assert whose(shards) == (
        [{"bruno": 2}, {ACCOUNT: 9, "cleo": 2}] if merged else [{"bruno": 2, GUEST: 6}, {ACCOUNT: 3, "cleo": 2}]
    )
    assert_right(shards)


@pytest.mark.thorough
@pytest.mark.parametrize("step", ["", "reshard.items", "reshard.moved", "adopt.attached", "leave.user_items"])
def test_users_are_redistributed_over_a_new_shard_and_back(
    shards: Shards, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Steps of two users, so that there are several; killed once, at the second time that a step is reached."""
    monkeypatch.setattr(resharding, "USERS_AT_ONCE", 2)
    users = [f"u{number}" for number in range(7)]
    shards.homes = dict.fromkeys(users, 0)
    shards.writers[0].submit(Submission([Item(item_id="a", category="Tea"), Item(item_id="b")])).result()
    for user in users:
        send(shards, *({**BOUGHT, "user_id": user, "item_id": item, "order_id": user} for item in ("a", "b", user)))
    before, counts = all_events(shards.shops), summed_counts(shards.shops)

    def run(old: int, new: int) -> None:
        redistribution = Resharding(shards.writers[:old], shards.writers[:new])
        redistribution.resume()
        redistribution.copy_reference_tables()
        events = redistribution.count_misplaced()
        moved: list[int] = []
        redistribution.move_users(moved.append)
        assert sum(moved) == events
        assert redistribution.count_misplaced() == 0

    if step:
        with killed_at(monkeypatch, step, times=1 if step == "reshard.items" else 2), pytest.raises(Killed):
            run(1, 2)
        shards.restart()
    run(1, 2)
    of_shard = [{user: 3 for user in users if shard_index(user, 2) == number} for number in (0, 1)]
    assert whose(shards) == of_shard
    assert all(of_shard), "both shards have users"
    assert all_rows(shards.shops[1:], "select item_id, category from {}.items final".format) == [
        ["a", "Tea"],
        ["b", ""],
    ]
    assert (all_events(shards.shops), summed_counts(shards.shops)) == (before, counts)
    assert_right(shards)
    run(2, 1)
    assert (whose(shards)[1], all_events(shards.shops[:1])) == ({}, before)
    assert_right(shards)


@pytest.mark.thorough
def test_what_expired_events_gave_a_user_moves_along_and_sums_are_as_before(on: Engine) -> None:
    """Orders whose first lines have expired: their history moves, so that a later line has its pairs with all."""
    now = utc_now() - timedelta(days=20)
    shops = [on.shop(name, clock=lambda: now, event_retention_days=10) for name in ("expiring_a", "expiring_b")]
    shards = Shards(shops, {"ada": 0, "bruno": 0})
    shards.restart()
    for user in ("ada", "bruno"):
        send(shards, *({**BOUGHT, "user_id": user, "item_id": item, "timestamp": now} for item in ("tea", "mug")))
    now = utc_now()
    for user in ("ada", "bruno"):
        send(shards, {**BOUGHT, "user_id": user, "item_id": "pot", "timestamp": now})
    expired = "alter table {}.events delete where item_id != 'pot' settings mutations_sync = 2"
    shops[0].warehouse.command(expired.format(shops[0].warehouse.database))
    counts = summed_counts(shards.shops)
    of_ada = "select user_id, item_id, sum(events) from {}.user_items where user_id = 'ada' group by user_id, item_id"
    assert move_users(shards.writers[0], shards.writers[1], ["ada"]) == 1
    assert summed_counts(shards.shops) == counts
    assert all_rows(shards.shops[1:], of_ada.format) == [["ada", "mug", 1], ["ada", "pot", 1], ["ada", "tea", 1]]
    assert all_rows(shards.shops[:1], of_ada.format) == []
    shards.homes["ada"] = 1
    send(shards, {**BOUGHT, "user_id": "ada", "item_id": "can", "timestamp": now})
    pairs = (
        "select b.item_id, sum(baskets) from {0}.co_baskets inner join {0}.item_ids as b on other_item_key = b.item_key"
    )
    pairs += " where co_baskets.item_key = cityHash64('can') group by 1"
    assert ["pot", 1] in all_rows(shards.shops[1:], pairs.format)
    totals = "select sum(baskets) from {}.co_baskets where item_key = cityHash64('can')"
    assert all_rows(shards.shops[1:], totals.format) == [[3]], "with the two that have expired as well"
    for shop in shards.shops:
        assert check(shop.warehouse.another(), shop.do, CHECKS).wrong == []
        drop(shop)
