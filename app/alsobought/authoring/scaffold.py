"""Create a pipe and its cases, from a template or as a copy of another pipe."""

from __future__ import annotations

from pathlib import Path

from alsobought.errors import Unusable
from alsobought.project_files import read_utf8, reason

PIPE_TEMPLATE = """
-- The most viewed items. Replace this sentence with one about NAME; lists show it.
--
-- :limit  UInt16 = 10 (1..100)  maximum number of items
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import one_of_each_group %}
with
    {# One step per sub-query. Give a sum a new name: in ClickHouse, `sum(events) as events` would refer to itself. #}
    viewed as (
        select item_key, sum(events) as times from item_hours where event_type = 'view' group by item_key
    ),
    {# Of the sizes and colours of one product, the one that is viewed most. #}
    products as (
        select item_key, times from viewed {{ one_of_each_group("item_key", "times desc, item_key") }}
    )
{# The columns of the answer, in this order. #}
select {{ item("item_id", "item_key") }} as item_id, {{ item("title", "item_key") }} as title, times as views
from products
{# The last key breaks ties, so that equal requests have equal answers. #}
order by views desc, item_id
limit {{ limit }}
""".lstrip()

CASES_TEMPLATE = """
# Each case has a sentence (it), events (given), parameters (ask) and the expected rows (answer) with the columns that matter.
# `alsobought pipe test NAME` runs them; `--update` writes the actual rows as answers.
- it: puts the most viewed item first
  given:
    - {event_type: view, user_id: ada, item_id: tea}
    - {event_type: view, user_id: bob, item_id: tea}
    - {event_type: view, user_id: bob, item_id: mug, timestamp: -2h}
  answer: [{item_id: tea, views: 2}, {item_id: mug, views: 1}]
- it: returns at most the requested number of items
  given:
    - {event_type: view, item_id: tea}
    - {event_type: view, item_id: mug}
  ask: {limit: 1}
  answer: [{item_id: mug}]
- it: counts only views
  given: [{event_type: purchase, item_id: tea}]
  answer: []
- it: rejects a limit over 100
  ask: {limit: 101}
  error: bad_parameters
  problem: "limit: 101 is not between 1 and 100"
""".lstrip()


def create_pipe(home: Path, name: str, like: str) -> list[Path]:
    """Writes pipes/NAME.sql and tests/pipes/NAME.yaml, which pass unchanged, or copies those of the pipe `like`.

    Returns the two paths. Raises Unusable for an invalid name, existing files, or an unknown pipe to copy.
    """
    if not name.isidentifier() or not name.isascii() or name != name.lower():
        raise Unusable(
            f"{name!r} is not a valid pipe name", "Use lower-case letters, digits and _, such as best_sellers"
        )
    paths = _paths(home, name)
    if existing := [path for path in paths if path.exists()]:
        raise Unusable(f"{existing[0].relative_to(home)} already exists", "Choose another name, or edit that file")
    texts = [PIPE_TEMPLATE.replace("NAME", name), CASES_TEMPLATE.replace("NAME", name)]
    if like:
        originals = _paths(home, like)
        if not originals[0].exists():
            names = sorted(path.stem for path in (home / "pipes").glob("*.sql"))
            raise Unusable(f"no pipe called {like!r}", f"There are {', '.join(names)}")
        try:
            texts = [read_utf8(path) if path.exists() else "[]\n" for path in originals]
        except OSError as error:
            raise Unusable(f"the pipe {like} cannot be read: {reason(error)}", "Begin with another one") from error
        except UnicodeDecodeError as error:
            raise Unusable(f"the pipe {like} is not UTF-8 text", "Begin with another one") from error
    for path, text in zip(paths, texts, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return paths


def _paths(home: Path, name: str) -> list[Path]:
    return [home / "pipes" / f"{name}.sql", home / "tests" / "pipes" / f"{name}.yaml"]
