"""Merge, unmerge and forget users of several shards: each function takes the writers of all shards, in their order.

A guest of another shard first moves to that of the account, and after an unmerge back (`writer.user_move`). A crash in between
leaves the merge done or not done: `resume_moves` sees to it. Not from a writer's thread; whoever routes events sends none of
these users meanwhile, and asks for their accounts again afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alsobought.counts.shadow_table import discard_all
from alsobought.failpoints import reach
from alsobought.privacy.erasure import forget_in
from alsobought.privacy.merging import account_for_merge, merge, not_merged, unmerge
from alsobought.storage import mutation_journal
from alsobought.writer.user_move import (
    ShardOf,
    accounts_across,
    move_while_held,
    note_homing,
    resume_moves,
    together,
)
from alsobought.writer.writer import Writer


def merge_across(writers: Sequence[Writer], shard_of: ShardOf, guest_id: str, user_id: str) -> dict[str, Any]:
    """Moves a guest's events, past and future, to an account, whichever shards they are on. Idempotent.

    Raises BadRequest for what `merging.merge` refuses.
    """
    resume_moves(writers, shard_of)
    accounts = accounts_across(writers, [guest_id, user_id])
    account = account_for_merge(writers[0].settings, accounts, guest_id, user_id)
    there = writers[shard_of(account)]
    here = there if guest_id in accounts else writers[shard_of(guest_id)]
    if here is there:
        return together([there], lambda: merge(there, guest_id, user_id))

    def move_and_merge() -> dict[str, Any]:
        note = note_homing(here, [guest_id])
        _move(here, there, [guest_id])
        reach("across.moved")
        merged = merge(there, guest_id, user_id)
        reach("across.merged")
        mutation_journal.finish(here.warehouse, note)
        return merged

    return together([here, there], move_and_merge)


def unmerge_across(writers: Sequence[Writer], shard_of: ShardOf, guest_id: str) -> dict[str, Any]:
    """Gives a guest its events back, and moves them to the guest's own shard. Raises BadRequest as `merging.unmerge` does."""
    resume_moves(writers, shard_of)
    account = accounts_across(writers, [guest_id]).get(guest_id)
    if account is None:
        raise not_merged(guest_id)
    there, here = writers[shard_of(account)], writers[shard_of(guest_id)]
    if here is there:
        return together([there], lambda: unmerge(there, guest_id))

    def unmerge_and_move() -> dict[str, Any]:
        note = note_homing(there, [guest_id])
        unmerged = unmerge(there, guest_id)
        reach("across.unmerged")
        _move(there, here, [guest_id])
        reach("across.moved_back")
        mutation_journal.finish(there.warehouse, note)
        return unmerged

    return together([here, there], unmerge_and_move)


def forget_across(writers: Sequence[Writer], shard_of: ShardOf, user_id: str) -> dict[str, Any]:
    """Erases a user, with all guests, from every shard, and records that on each; returns the fields of one Receipt.

    Idempotent; after a crash call it again. Raises Unusable for a guest that was merged into an account.
    """
    resume_moves(writers, shard_of)
    return together(writers, lambda: forget_in(writers, user_id))


def _move(source: Writer, target: Writer, users: list[str]) -> None:
    move_while_held(source, target, users)
    for writer in (source, target):
        discard_all(writer.warehouse)
