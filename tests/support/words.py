"""The glossary as a linter: `python -m tests.support.words` fails where an identifier uses an old word.

It reads names only (`tokenize`), never prose: comments, strings and documents are for readers to judge.
"""

from __future__ import annotations

import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.support.project import ROOT

# Old word -> the field's word. A name is split at underscores and capitals: `_torn`, `TurnLost` and `torn_views` all match.
PARTS = {
    "brought": "external",
    "caution": "l2",
    "errand": "maintenance task",
    "errands": "maintenance tasks",
    "heal": "recover",
    "healed": "recovered",
    "kept": "cached",
    "learnt": "learned",
    "refusal": "reject",
    "refusals": "rejects",
    "refused": "rejected",
    "sight": "visibility",
    "torn": "dirty",
    "touch": "invalidate",
    "touched": "invalidated",
    "touches": "invalidates",
    "trial": "validation",
    "tried": "validated",
    "turn": "lease",
    "turns": "leases",
    "visitor": "client",
    "watch": "monitor",
}
WHOLE = {
    "bad_share": "dead_letter_max_ratio",
    "events_days": "event_retention_days",
    "found": "the name of what was found",
    "in_hand": "in_flight",
    "in_places": "reranked",
    "leave_out": "exclude_history",
    "may_show": "is_eligible",
    "new_to": "is_unseen",
    "repeat_days": "dedup_window_days",
    "repeats": "duplicates",
    "said": "the name of the text",
    "told": "the name of the text",
}
# Names of other libraries: pathlib.Path.touch.
ALLOWED = {"touch"}


def old_words(path: Path) -> Iterator[str]:
    """`path:line: name → word` for each identifier with an old word."""
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type != tokenize.NAME or token.string in ALLOWED:
                continue
            parts = [part.lower() for part in re.findall(r"[a-z]+|[A-Z][a-z]*", token.string)]
            word = WHOLE.get(token.string.strip("_")) or next((PARTS[part] for part in parts if part in PARTS), "")
            if word:
                yield f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string} → {word}"


def main() -> int:
    findings = [line for path in sorted((ROOT / "app").rglob("*.py")) for line in old_words(path)]
    sys.stdout.writelines(f"{line}\n" for line in findings)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
