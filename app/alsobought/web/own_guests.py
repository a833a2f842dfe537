"""Which guests a token may merge: those of the user's own browser.

Such an id is a secret of that browser: the kit draws 128 bits for it (`kit/alsobought.js`), and no pipe that a page can ask
shows it. So whoever names it is that browser, and no `user_id` of a shop looks like it.
"""

from __future__ import annotations

import re

from flask import g

from alsobought.access.limits import rate_headers
from alsobought.errors import NotAllowed, TooManyRequests
from alsobought.web.access import gate, principal

GUEST = re.compile(r"guest-[0-9a-f]{32}")


def require_own_guest(guest_id: str, user_id: str) -> None:
    """Raises NotAllowed for another user than the token's, or an id that the kit has not made; TooManyRequests."""
    own = principal().fixed.get("user_id", "")
    if user_id != own:
        raise NotAllowed(
            "user_id: not that of the token, which merges guests into one user", "Send the user of the token"
        )
    if not GUEST.fullmatch(guest_id):
        raise NotAllowed(
            "guest_id: a token merges only guests that alsobought.js has made",
            "Merge other guests from your backend, with a key that has users:write",
        )
    if not (verdict := gate().admit_merge(own)).allowed:
        g.rate_headers = rate_headers(verdict)
        raise TooManyRequests(
            f"a user's tokens may merge {verdict.rate} guests", f"Try again in {g.rate_headers['Retry-After']} seconds"
        )
