"""Conditions of a segment that can hold for nobody: a mistake is an error, a segment without users is not.

Asked only once a segment had no rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from alsobought.errors import BadParameters, Detail
from alsobought.pipes.types import shorten
from alsobought.storage.warehouse import Reader
from alsobought.users import NAME

SEGMENT = "segment"
"""The parameter, of sql/parameters/segment.sql."""
MAX_NAMES = 20
ATTRIBUTES = (
    "select distinct arrayJoin(mapKeys(attributes)) as attribute from users final where not removed order by attribute"
)


def require_possible(warehouse: Reader, segment: Sequence[str]) -> None:
    """Raises BadParameters for a condition that is not NAME:VALUE, or whose name is a misspelt one. Raises WarehouseFault."""
    problem = next((problem for condition in segment if (problem := _form_problem(condition))), "")
    if not problem:
        known = [str(name) for (name,) in warehouse.rows(ATTRIBUTES, {}).data]
        problem = next((problem for condition in segment if (problem := _name_problem(condition, known))), "")
    if problem:
        raise BadParameters(f"{SEGMENT}: {problem}", details=(Detail(SEGMENT, problem),))


def _form_problem(condition: str) -> str:
    """
    >>> _form_problem("region=Bavaria")
    "'region=Bavaria' is not NAME:VALUE, such as region:Bavaria, or a range such as age:30..44"
    >>> _form_problem("region:Bavaria")
    ''
    """
    name, _, value = condition.partition(":")
    if NAME.fullmatch(name) and value:
        return ""
    return f"{shorten(repr(condition))} is not NAME:VALUE, such as region:Bavaria, or a range such as age:30..44"


def _name_problem(condition: str, known: Sequence[str]) -> str:
    """The problem of a name that no user has, if it resembles one that users have. Others may come to be.

    >>> _name_problem("regions:Bavaria", ["age", "region"])
    "no user has the attribute 'regions'; did you mean region? Users have age, region"
    >>> _name_problem("plan:pro", ["age", "region"])
    ''
    """
    name = condition.partition(":")[0]
    by_small = {one.lower(): one for one in reversed(known)}
    near = get_close_matches(name.lower(), by_small, n=1, cutoff=0.7) if name not in known else []
    if not near:
        return ""
    listed = ", ".join(known[:MAX_NAMES]) + (" …" if len(known) > MAX_NAMES else "")
    return f"no user has the attribute {name!r}; did you mean {by_small[near[0]]}? Users have {listed}"
