"""Merge the guests whom messages of analytics tools name with an account, as they do at each login.

On the writer's thread (`service.maintenance`). Most of these messages name a guest who was merged before: ask
`storage.identities.unmerged` first.
"""

from __future__ import annotations

from collections.abc import Sequence

from alsobought.errors import BadRequest
from alsobought.privacy.across_shards import merge_across
from alsobought.privacy.merging import merge
from alsobought.writer.sharded import AnyWriter, ShardedWriter


def merge_guests(writer: AnyWriter, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Merges each guest into the user, (guest_id, user_id). Returns the problem of each pair, empty if it was merged.

    A refused merge does not affect the others.
    """
    return [_problem(writer, guest_id, user_id) for guest_id, user_id in pairs]


def _problem(writer: AnyWriter, guest_id: str, user_id: str) -> str:
    try:
        if isinstance(writer, ShardedWriter):
            merge_across(writer.writers, writer.shard_of_account, guest_id, user_id)
        else:
            merge(writer, guest_id, user_id)
    except BadRequest as error:
        return str(error)
    return ""
