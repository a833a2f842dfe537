"""One backup at a time goes into a bucket: an object that names its holder, renewed while the backup is taken.

It is written by conditional writes, so that of two processes one gets it. A killed holder leaves it behind. The same holder takes
it over at once, since the lock of its data folder shows that the killed process is gone; others wait until it is over, which is
longer than the clocks of two machines may differ (S3 refuses requests that are 15 minutes off).
"""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from alsobought.errors import Busy, Unusable

NAME = "lock"
RENEW_SECONDS = 60.0
OVER_SECONDS = 20 * 60.0


class Lease:
    """`take` it, `confirm` it before what counts, `release` it. Errors of the client pass through."""

    def __init__(self, client: S3Store, holder: str, where: str) -> None:
        self._client, self._where = client, where
        self._holder, self._token = f"{holder}\n", secrets.token_hex(8)
        self._e_tag: str | None = None
        self._guard = threading.Lock()
        self._released = threading.Event()

    def take(self) -> None:
        """Raises Busy while another holds it."""
        try:
            self._e_tag = obstore.put(self._client, NAME, self._body(), mode="create")["e_tag"]
        except AlreadyExistsError:
            self._take_over()
        self._released.clear()
        threading.Thread(target=self._renew, name="backup lease", daemon=True).start()

    def confirm(self) -> None:
        """Renews it. Raises Unusable if another took it over, because this process stood still for too long."""
        with self._guard:
            if self._e_tag is not None:
                try:
                    self._put(self._e_tag)
                except PreconditionError:
                    self._e_tag = self._found_ours()
            if self._e_tag is not None:
                return
        raise Unusable(f"another backup to {self._where} took over meanwhile", "Take the backup again")

    def release(self) -> None:
        self._released.set()
        with self._guard, suppress(BaseError, OSError):  # what is left, the same holder takes over
            if self._e_tag is not None and self._found_ours():
                obstore.delete(self._client, NAME)

    def _take_over(self) -> None:
        """From a holder that was killed."""
        busy = Busy(f"another backup to {self._where} is in progress", "Wait until it has ended, or stop it")
        try:
            existing = obstore.get(self._client, NAME)
            held_by, e_tag, at = (
                bytes(existing.bytes()).decode(),
                existing.meta["e_tag"],
                existing.meta["last_modified"],
            )
            over_at = at + timedelta(seconds=OVER_SECONDS)
            if not held_by.startswith(self._holder) and datetime.now(UTC) < over_at:
                busy.hint += f"; if it was killed, this works from {over_at:%H:%M} UTC"
                raise busy
            self._put(e_tag)
        except (FileNotFoundError, PreconditionError):  # released or taken over at this moment
            raise busy from None

    def _found_ours(self) -> str | None:
        """The ETag of the object, if this process wrote it: the answer to a write may have been lost."""
        existing = obstore.get(self._client, NAME)
        return existing.meta["e_tag"] if bytes(existing.bytes()).startswith(self._prefix) else None

    def _put(self, e_tag: str | None) -> None:
        self._e_tag = obstore.put(self._client, NAME, self._body(), mode={"e_tag": e_tag})["e_tag"]

    def _body(self) -> bytes:
        """Differs each time, so that the ETag does too."""
        return self._prefix + f"{datetime.now(UTC).isoformat()}\n".encode()

    @property
    def _prefix(self) -> bytes:
        return f"{self._holder}{self._token}\n".encode()

    def _renew(self) -> None:
        while not self._released.wait(RENEW_SECONDS):
            with suppress(BaseError, OSError, Unusable):  # the next round tries again, and `confirm` has the last word
                self.confirm()
