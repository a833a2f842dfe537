"""Drafts of new migrations. None is applied before a reason replaces the `…` of its template."""

from __future__ import annotations

import re
from pathlib import Path

from alsobought.errors import Unusable
from alsobought.migrations.files import PLACEHOLDER, migrations

STATEMENT = f"""-- {PLACEHOLDER}
alter table {{{{ database }}}}.events add column NAME String
"""
TABLE = f"""-- {PLACEHOLDER}
-- Signed sums that merge in the background: read with sum(events) ... group by.
create table {{{{ database }}}}.NAME (
    day Date,
    item_key UInt64,
    events Int64
)
engine = {{{{ engine('SummingMergeTree', '(events)') }}}}
order by (day, item_key)
settings {{{{ window }}}}
"""
VIEW = """-- Feeds NAME. Here `events` is the inserted block, everywhere in the query.
create materialized view {{ database }}.NAME_mv to {{ database }}.NAME as
select toDate(timestamp) as day, cityHash64(item_id) as item_key, toInt64(count()) as events
from {{ database }}.events
group by day, item_key
"""
CHECK = """-- The rows that each event adds to NAME, written differently from its view. Rows of one day and item are summed.
select toDate(timestamp) as day, cityHash64(item_id) as item_key, 1 as events
from {{ database }}.events
"""
SERVING_TABLE = f"""-- {PLACEHOLDER}
-- A serving table: sql/serving/NAME.sql makes its rows.
create table {{{{ database }}}}.NAME (
    item_key UInt64,
    events Int64
)
engine = EmbeddedRocksDB
primary key item_key
"""
SERVING = """-- The rows of NAME. A stored event makes that of its item again; with `of orders`, `of sessions` or `of buyers`
-- behind the key, those of all items of its order, session or buyer; with `@key user_id`, that of its user.
--
-- @key item_key
select item_key, sum(item_hours.events) as events
from {{ database }}.item_hours
where {{ picks("item_key") }}
group by item_key
"""


def draft(home: Path, name: str, *, view: bool = False, serving: bool = False) -> list[Path]:
    """Writes a statement; or a count table with its view and its check; or a serving table with its SELECT. Returns the paths.

    Raises Unusable for an invalid name or one in use.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise Unusable(f"{name!r} cannot name a migration", "Use lower-case letters, digits and _, as in item_days")
    existing = migrations(home / "migrations")
    if (view or serving) and any(name in (migration.name[5:], migration.shape.name) for migration in existing):
        raise Unusable(f"there is a {name} already", "Use another name")
    number, folder = len(existing) + 1, home / "migrations"
    first = folder / f"{number:04}_{name}.sql"
    texts = {first: TABLE if view else SERVING_TABLE if serving else STATEMENT}
    if serving:
        texts[home / "sql" / "serving" / f"{name}.sql"] = SERVING
    if view:
        texts[folder / f"{number + 1:04}_{name}_mv.sql"] = VIEW
        texts[home / "sql" / "checks" / f"{name}.sql"] = CHECK
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("NAME", name), encoding="utf-8")
    return list(texts)
