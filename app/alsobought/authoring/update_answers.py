"""The answers of cases, written anew into their file: the text of each `answer` and not a character beside it.

Own editing by the places that PyYAML tells, since a library that writes a whole file anew (ruamel.yaml) breaks lines and indents
in its own way, and `git diff` would show more than answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import yaml

from alsobought.authoring.pipe_tests import Case, Rows
from alsobought.authoring.row_diff import same
from alsobought.errors import Unusable

WIDTH = 120


def updated(text: str, answers: Mapping[int, Rows], name: str) -> str:
    """The text of a file of cases with these answers, {number of the case, from 0: rows}.

    Raises Unusable where an answer cannot be written in its place, such as an alias of another.
    """
    nodes: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    wanted = yaml.safe_load(text)
    for number in sorted(answers, reverse=True):  # from the end, so that the places before stay
        pairs = {key.value: (key, value) for key, value in nodes.value[number].value}
        text = _edited(text, *pairs["answer"], answers[number], inside=nodes.value[number].flow_style)
        wanted[number]["answer"] = answers[number]
    try:
        if yaml.safe_load(text) == wanted:
            return text
    except yaml.YAMLError:
        pass
    raise Unusable(f"{name}: its answers cannot be written in their places", "Write them without & and *, or by hand")


def commented(text: str) -> set[int]:
    """The cases, by their numbers from 0, with a comment inside their answer, that a new answer would take away."""
    nodes: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    ends = [(token.start_mark.index, token.end_mark.index) for token in yaml.scan(text, Loader=yaml.SafeLoader)]
    gaps = [(end, start) for (_, end), (start, _) in pairwise(ends)]
    comments = [end for end, start in gaps if "#" in text[end:start]]
    found = set()
    for number, case in enumerate(nodes.value):
        for key, answer in case.value:
            inside = range(answer.start_mark.index, _end(answer))
            if key.value == "answer" and any(place in inside for place in comments):
                found.add(number)
    return found


def _edited(text: str, key: yaml.Node, old: yaml.Node, rows: Rows, *, inside: bool) -> str:
    """One answer replaced; a comment between `answer:` and the first row stays."""
    gap = text[key.end_mark.index : old.start_mark.index]
    if "#" in gap:
        start, new = old.start_mark.index, _block(rows, old.start_mark.column).lstrip()
    else:
        start, new = key.end_mark.index, ":" + _written(rows, key.start_mark.column, inside)
    if "\r\n" in text:
        new = new.replace("\n", "\r\n")
    return text[:start] + new + text[_end(old) :]


def answer_for(case: Case, rows: Rows) -> Rows:
    """The rows that came, with the columns that the case names, and its own values where they are the same.

    A case that names none gets all columns. Without an order no row of the case is known to be one of these: each gets the
    columns of all.
    """
    wanted = (case.answer or []) if case.ordered else []
    named = dict.fromkeys(name for row in case.answer or [] for name in row)
    answer = []
    for place, row in enumerate(rows):
        want = wanted[place] if place < len(wanted) and wanted[place] else named
        names = row if case.exact else [name for name in want if name in row] or row
        known = wanted[place] if place < len(wanted) else {}
        answer.append({n: known[n] if n in known and same(known[n], row[n], case.tolerance) else row[n] for n in names})
    return answer


def _end(node: yaml.Node) -> int:
    """Where a value ends: that of a block is told as the beginning of what follows it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _written(rows: Rows, column: int, inside: bool) -> str:
    """On one line where it fits or must, else a line for each row."""
    line = f" [{', '.join(map(_row, rows))}]"
    return line if inside or not rows or column + len("answer:") + len(line) <= WIDTH else _block(rows, column + 2)


def _block(rows: Rows, column: int) -> str:
    return "".join(f"\n{' ' * column}- {_row(row)}" for row in rows) or " []"


def _row(row: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(row), default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6).strip()


def emptied(cases: Mapping[int, Case], answers: Mapping[int, Rows]) -> list[int]:
    """The cases that expected rows and now would expect none."""
    return [number for number, rows in answers.items() if cases[number].answer and not rows]
