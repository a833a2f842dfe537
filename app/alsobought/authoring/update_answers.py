"""Replace the `answer` of cases in the text of their YAML file, and leave every other character as it is.

The text is edited at the positions that PyYAML reports: a library that writes the entire file again (ruamel.yaml)
breaks lines and indents in its own way, and `git diff` would show more than answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import yaml

from alsobought.authoring.case_files import Case, Rows
from alsobought.authoring.row_diff import equal_values
from alsobought.errors import Unusable

LINE_LENGTH = 120


def replace_answers(text: str, answers: Mapping[int, Rows], name: str) -> str:
    """The text of a case file with these answers, {index of the case: rows}.

    Raises Unusable where an answer cannot be replaced in place, such as an alias of another.
    """
    nodes: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    expected = yaml.safe_load(text)
    for index in sorted(answers, reverse=True):  # from the end, so that earlier positions stay valid
        pairs = {key.value: (key, value) for key, value in nodes.value[index].value}
        text = _replace(text, *pairs["answer"], answers[index], in_flow=nodes.value[index].flow_style)
        expected[index]["answer"] = answers[index]
    try:
        if yaml.safe_load(text) == expected:
            return text
    except yaml.YAMLError:
        pass
    raise Unusable(f"{name}: cannot replace the answers in place", "Remove YAML anchors (&, *), or edit it by hand")


def commented_cases(text: str) -> set[int]:
    """The indexes of the cases with a comment inside their answer, which a new answer would delete."""
    nodes: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    tokens = [(token.start_mark.index, token.end_mark.index) for token in yaml.scan(text, Loader=yaml.SafeLoader)]
    gaps = [(end, start) for (_, end), (start, _) in pairwise(tokens)]
    comments = [end for end, start in gaps if "#" in text[end:start]]
    commented = set()
    for index, case in enumerate(nodes.value):
        for key, answer in case.value:
            span = range(answer.start_mark.index, _end(answer))
            if key.value == "answer" and any(position in span for position in comments):
                commented.add(index)
    return commented


def new_answer(case: Case, rows: Rows) -> Rows:
    """The actual rows with the columns that the case names, and its own values where they are equal.

    A case that names no columns gets all. In an unordered case, no expected row belongs to an actual one: each row gets
    the columns of all.
    """
    expected = (case.answer or []) if case.ordered else []
    all_names = dict.fromkeys(name for row in case.answer or [] for name in row)
    answer = []
    for index, row in enumerate(rows):
        old = expected[index] if index < len(expected) else {}
        wanted = old if index < len(expected) else all_names
        names = row if case.exact else [name for name in wanted if name in row] or row
        answer.append(
            {
                name: old[name] if name in old and equal_values(old[name], row[name], case.tolerance) else row[name]
                for name in names
            }
        )
    return answer


def newly_empty(cases: Mapping[int, Case], answers: Mapping[int, Rows]) -> list[int]:
    """The indexes of the cases that expected rows and would now expect none."""
    return [index for index, rows in answers.items() if cases[index].answer and not rows]


def _replace(text: str, key: yaml.Node, old: yaml.Node, rows: Rows, *, in_flow: bool) -> str:
    """Replaces one answer; a comment between `answer:` and the first row stays."""
    gap = text[key.end_mark.index : old.start_mark.index]
    if "#" in gap:
        start, new = old.start_mark.index, _block(rows, old.start_mark.column).lstrip()
    else:
        start, new = key.end_mark.index, ":" + _format(rows, key.start_mark.column, in_flow)
    if "\r\n" in text:
        new = new.replace("\n", "\r\n")
    return text[:start] + new + text[_end(old) :]


def _end(node: yaml.Node) -> int:
    """The end of a value: for a block, PyYAML reports the start of what follows it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _format(rows: Rows, column: int, in_flow: bool) -> str:
    """One line if it fits or must be, else one line per row."""
    line = f" [{', '.join(map(_row, rows))}]"
    one_line = in_flow or not rows or column + len("answer:") + len(line) <= LINE_LENGTH
    return line if one_line else _block(rows, column + 2)


def _block(rows: Rows, column: int) -> str:
    return "".join(f"\n{' ' * column}- {_row(row)}" for row in rows) or " []"


def _row(row: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(row), default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6).strip()
