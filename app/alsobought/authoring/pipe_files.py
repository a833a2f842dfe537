"""The files of pipes for their author: checked against an empty warehouse, formatted, drafted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from alsobought.errors import Unusable
from alsobought.pipes.library import Library
from alsobought.service.service import open_service
from alsobought.serving.answers import open_library
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse

LINE_LENGTH = 110

PIPE = """
-- What people look at most. This sentence is what lists show; say what NAME answers.
--
-- :limit  UInt16 = 10 (1..100)  how many items
{% from 'catalogue.sql' import item %}
with
    {# A sub-query for each thought. Give a sum a name of its own: `sum(events) as events` would be read as itself. #}
    viewed as (
        select item_key, sum(events) as times from item_hours where event_type = 'view' group by item_key
    )
{# The columns of the answer, in the order of its readers. #}
select {{ item("item_id", "item_key") }} as item_id, {{ item("title", "item_key") }} as title, times as views
from viewed
{# The last key tells equals apart: the same question has the same answer. #}
order by views desc, item_id
limit {{ limit }}
""".lstrip()

CASES = """
# Each case is a sentence, what happened (given), a question (ask) and the rows due (answer), with the columns that matter.
# `alsobought pipe test NAME` runs them; `--update` writes the answers that came.
- it: puts what is viewed most first
  given:
    - {event_type: view, user_id: ada, item_id: tea}
    - {event_type: view, user_id: bob, item_id: tea}
    - {event_type: view, user_id: bob, item_id: mug, timestamp: -2h}
  answer: [{item_id: tea, views: 2}, {item_id: mug, views: 1}]
- it: gives as many as asked for
  given:
    - {event_type: view, item_id: tea}
    - {event_type: view, item_id: mug}
  ask: {limit: 1}
  answer: [{item_id: mug}]
- it: counts nothing but views
  given: [{event_type: purchase, item_id: tea}]
  answer: []
- it: takes no more than a hundred
  ask: {limit: 101}
  error: bad_parameters
  problem: "limit: 101 is not between 1 and 100"
""".lstrip()


@contextmanager
def checking(settings: Settings) -> Iterator[tuple[Library, Warehouse]]:
    """The pipes of the project, against an empty warehouse in memory."""
    shop = open_service(msgspec.structs.replace(settings, dsn="chdb://:memory:", database="checked", kafka=""))
    try:
        yield open_library(settings, shop.warehouse), shop.warehouse
    finally:
        shop.close()


def formatted(text: str) -> str:
    """A pipe or macro file as sqlfmt lays it out; its header stays byte for byte.

    Raises Unusable if sqlfmt is not installed, or cannot read the text.
    """
    try:
        from sqlfmt.api import Mode, format_string
        from sqlfmt.exception import SqlfmtError
    except ImportError as error:
        raise Unusable("sqlfmt is not installed", "pip install 'alsobought[edit]' brings it") from error
    lines = text.splitlines(keepends=True)
    head = next((place for place, line in enumerate(lines) if not line.startswith("--")), len(lines))
    try:
        body = format_string("".join(lines[head:]), Mode(dialect_name="clickhouse", line_length=LINE_LENGTH))
    except SqlfmtError as error:
        raise Unusable(f"cannot be laid out: {str(error).removeprefix('sqlfmt encountered an error: ')}") from error
    return "".join(lines[:head]) + body


def draft(home: Path, name: str, like: str) -> list[Path]:
    """Writes pipes/NAME.sql and tests/pipes/NAME.yaml that pass as they are, or copies of another's. Returns the two.

    Raises Unusable for a name that cannot be one, for files that are there, and for a pipe to copy that is not.
    """
    if not name.isidentifier() or not name.isascii() or name != name.lower():
        raise Unusable(f"{name!r} cannot be the name of a pipe", "Small letters, digits and _, such as best_sellers")
    made = _files(home, name)
    if there := [path for path in made if path.exists()]:
        raise Unusable(f"{there[0].relative_to(home)} is there already", "Take another name, or edit that")
    texts = [PIPE.replace("NAME", name), CASES.replace("NAME", name)]
    if like:
        originals = _files(home, like)
        if not originals[0].exists():
            known = sorted(path.stem for path in (home / "pipes").glob("*.sql"))
            raise Unusable(f"no pipe called {like!r}", f"There are {', '.join(known)}")
        texts = [path.read_text("utf-8") if path.exists() else "[]\n" for path in originals]
    for path, text in zip(made, texts, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return made


def _files(home: Path, name: str) -> list[Path]:
    return [home / "pipes" / f"{name}.sql", home / "tests" / "pipes" / f"{name}.yaml"]
