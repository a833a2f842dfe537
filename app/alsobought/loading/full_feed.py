"""A feed of the whole catalogue, or of all users: items that are not in it are taken off sale, users lose their attributes.

A feed that was cut off would empty the shop, so nothing is removed if rows were rejected or too much is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from alsobought.errors import Unusable
from alsobought.items import Item
from alsobought.loading.submitter import Submitter
from alsobought.users import User
from alsobought.writer.submission import Intake, Submission

DEFAULT_MAX_REMOVED = 20  # percent of the catalogue
REMOVED_AT_ONCE = 10_000


@dataclass(frozen=True)
class _Subject:
    """What a feed is about: its table and key, the row that removes one, and the words for it."""

    table: str
    key: str
    removed: Callable[[str], Any]
    listed: str
    nothing: str
    outcome: str


SUBJECTS: Mapping[str, _Subject] = {
    "items": _Subject(
        "items",
        "item_id",
        lambda item_id: Item(item_id=item_id, removed=True),
        "items of the catalogue",
        "nothing is taken off sale",
        "items {}taken off sale",
    ),
    "users": _Subject(
        "users",
        "user_id",
        lambda user_id: User(user_id=user_id, removed=True),
        "users with attributes",
        "no attributes are deleted",
        "users {}without attributes now",
    ),
}


class FullFeed:
    """The ids of a feed. At most this share of what is stored may be missing."""

    def __init__(self, max_removed: float = DEFAULT_MAX_REMOVED / 100, kind: str = "items") -> None:
        self._max_removed, self._subject = max_removed, SUBJECTS[kind]
        self._ids: set[str] = set()

    def note(self, rows: Iterable[Item | User]) -> None:
        """Note items or users of the feed."""
        self._ids.update(getattr(row, self._subject.key) for row in rows if not row.removed)

    def remove_others(self, writer: Intake, rejected: int, *, dry_run: bool = False) -> str:
        """Remove what the feed does not have, and return a sentence about it.

        Raises Unusable if rows were `rejected` or too much is missing: then nothing is removed.
        """
        subject = self._subject
        if rejected:
            hint = "Correct the rejected rows and load the feed again"
            raise Unusable(f"{subject.nothing}, since {rejected:,} rows were rejected", hint)
        table, key = f"{writer.warehouse.database}.{subject.table}", subject.key
        sql = f"select {key} from {table} final where not removed order by {key}"
        listed = [one for (one,) in writer.warehouse.trusted_rows(sql).data]
        missing = [one for one in listed if one not in self._ids]
        if len(missing) > self._max_removed * len(listed):
            percent = -(-100 * len(missing) // len(listed))
            raise Unusable(
                f"{len(missing):,} of {len(listed):,} {subject.listed} ({percent} %) are not in the feed: {subject.nothing}",
                f"Is the feed complete? If it is, pass --max-removed {percent}",
            )
        if not dry_run:
            _remove(writer, subject, missing)
        outcome = subject.outcome.format("would be " if dry_run else "")
        return f"{len(missing):,} of {len(listed):,} {outcome}"


def _remove(writer: Intake, subject: _Subject, ids: Sequence[str]) -> None:
    submitter, rest = Submitter(writer), iter(ids)
    while chunk := list(islice(rest, REMOVED_AT_ONCE)):
        submitter.send(Submission([subject.removed(one) for one in chunk]))
    submitter.finish()
