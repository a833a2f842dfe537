"""Entries of the audit log: who acts, and what an action is. Pure."""

from __future__ import annotations

import difflib
import os
import pwd
import socket
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from alsobought.access.credentials import without_secrets
from alsobought.redaction import redacted

Via = Literal["api", "workbench", "command line", "start", "monitor"]
DONE, FAILED = "done", "failed"
MAX_TEXT, MAX_DIFF, MAX_DETAIL = 300, 4_000, 8_000  # characters
ACTIONS = {
    "backup.restore": "a backup became a new data folder",
    "counts.rebuild": "count or serving tables were recomputed",
    "dead_letters.replay": "dead letters were stored after all",
    "experiment.resume": "a stopped variant of an experiment is shown again",
    "experiment.stop": "a guardrail stopped a variant of an experiment",
    "item.delete": "an item was taken out of the catalogue",
    "items.write": "a batch of items was posted",
    "key.create": "a key was created",
    "key.revoke": "a key was revoked",
    "key.rotate": "a key was replaced",
    "load": "files of events, items or users were loaded",
    "migrations.apply": "migrations were applied",
    "pipe.save": "a file of the project was saved in the editor",
    "repair": "damaged parts were mended",
    "token.create": "a token was signed by a command",
    "token.issue": "tokens were signed for a key",
    "user.delete": "a user's attributes were deleted",
    "user.export": "what is stored about a user was printed",
    "user.forget": "a user was erased",
    "user.merge": "a guest was merged into an account",
    "user.unmerge": "a merge was undone",
    "workbench.log_in": "a key logged in to the workbench",
    "workbench.log_in_failed": "logins that were refused",
    "workbench.log_out": "a login was ended by its user",
}
"""What is recorded. A test compares it with docs/how-to/secure.md."""


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts. `id`: of a key, or the user of the operating system; empty where no key is needed.

    `name`: that of the key; for a command by sudo, who called it. `address`: of the caller, or the name of the machine.
    """

    via: Via
    id: str = ""
    name: str = ""
    address: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An action. `outcome` is empty if it was begun and never seen to end; `times` counts what happened in the window of `time`."""

    id: str
    time: datetime
    via: str
    actor: str
    actor_name: str
    address: str
    action: str
    object: str
    detail: dict[str, Any]
    outcome: str
    finished_at: datetime | None
    times: int


def operator(via: Via = "command line") -> Actor:
    """The user of the operating system who runs this process. Not from the environment, which anybody sets, but for sudo's name."""
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:  # in a container
        user = f"uid {uid}"
    return Actor(via=via, id=user, name=bounded(os.environ.get("SUDO_USER", "")), address=socket.gethostname())


def bounded(text: str, length: int = MAX_TEXT) -> str:
    """A printable text of at most this length, without secrets."""
    clean = "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in without_secrets(redacted(text))
    )
    return clean if len(clean) <= length else f"{clean[: length - 1]}…"


def as_json(fields: Mapping[str, Any]) -> str:
    """Details as text. Of too many the names alone."""
    text = msgspec.json.encode(fields, enc_hook=str).decode()
    return text if len(text) <= MAX_DETAIL else msgspec.json.encode({"left_out": sorted(fields)}).decode()[:MAX_DETAIL]


def changed_text(old: str, new: str) -> dict[str, Any]:
    """What a saved text changed: the lines, and as much of the unified diff as fits.

    >>> changed_text("select 1\\n", "select 2\\n")
    {'added': 1, 'removed': 1, 'diff': '@@ -1 +1 @@\\n-select 1\\n+select 2'}
    """
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1))[2:]
    added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    return {"added": added, "removed": removed, "diff": bounded("\n".join(lines), MAX_DIFF)}
