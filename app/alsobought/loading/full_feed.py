"""A feed of the whole catalogue: what is not in it is taken off sale.

A feed that was cut off would empty the shop, so nothing is taken off if rows were rejected or too much is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from alsobought.errors import Unusable
from alsobought.items import Item
from alsobought.loading.submitter import Submitter
from alsobought.writer.submission import Intake, Submission

DEFAULT_MAX_REMOVED = 20  # percent of the catalogue
REMOVED_AT_ONCE = 10_000


class FullFeed:
    """The ids of a feed. At most this share of the catalogue may be missing."""

    def __init__(self, max_removed: float = DEFAULT_MAX_REMOVED / 100) -> None:
        self._max_removed = max_removed
        self._ids: set[str] = set()

    def note(self, items: Iterable[Item]) -> None:
        """Note items of the feed."""
        self._ids.update(item.item_id for item in items if not item.removed)

    def remove_others(self, writer: Intake, rejected: int, *, dry_run: bool = False) -> str:
        """Take off sale what the feed does not have, and return a sentence about it.

        Raises Unusable if rows were `rejected` or too much is missing: then nothing is taken off.
        """
        if rejected:
            hint = "Correct the rejected rows and load the feed again"
            raise Unusable(f"nothing is taken off sale, since {rejected:,} rows were rejected", hint)
        database = writer.warehouse.database
        sql = f"select item_id from {database}.items final where not removed order by item_id"
        listed = [item_id for (item_id,) in writer.warehouse.trusted_rows(sql).data]
        missing = [item_id for item_id in listed if item_id not in self._ids]
        if len(missing) > self._max_removed * len(listed):
            percent = -(-100 * len(missing) // len(listed))
            raise Unusable(
                f"{len(missing):,} of {len(listed):,} items of the catalogue ({percent} %) are not in the feed:"
                " nothing is taken off sale",
                f"Is the feed complete? If it is, pass --max-removed {percent}",
            )
        if dry_run:
            return f"{len(missing):,} of {len(listed):,} items would be taken off sale"
        _remove(writer, missing)
        return f"{len(missing):,} of {len(listed):,} items taken off sale"


def _remove(writer: Intake, item_ids: Sequence[str]) -> None:
    submitter, rest = Submitter(writer), iter(item_ids)
    while chunk := list(islice(rest, REMOVED_AT_ONCE)):
        submitter.send(Submission([Item(item_id=item_id, removed=True) for item_id in chunk]))
    submitter.finish()
