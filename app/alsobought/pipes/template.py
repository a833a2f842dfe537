"""Render the text of a pipe to SQL with ClickHouse parameters.

`{{ x }}` becomes `{x:Type}`, and values travel beside the text, so SQL injection is impossible.
`{% if x %}` is true if the request provides x. `**filters` passes all parameters of a group to a macro.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from alsobought.errors import PipeFault
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.sandbox import BUILT_IN, VARIANTS, HasVariants, Placeholder, Templates, placeholder_sql
from alsobought.pipes.source_map import SourceMap, extract_source_map, reject_marks
from alsobought.pipes.template_errors import ERRORS, template_fault
from alsobought.pipes.text_files import MAX_TEXT

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*):[^{}]+\}")


def render(
    text: str, parameters: Sequence[Parameter], provided: Collection[str], templates: Templates
) -> tuple[str, SourceMap]:
    """The SQL of a pipe for a combination of provided parameters, and the source lines of the SQL.

    With VARIANTS among them it is that for a catalogue with groups of variants. Raises PipeFault with the line.
    """
    if len(text) > MAX_TEXT:
        raise PipeFault(f"{len(text):,} characters; at most {MAX_TEXT:,}")
    names = {parameter.name: Placeholder(parameter, parameter.name in provided) for parameter in parameters}
    names |= {parameter.name: Placeholder(parameter, provided=True) for parameter in BUILT_IN}
    groups: dict[str, dict[str, Placeholder]] = {}
    for parameter in parameters:
        groups.setdefault(parameter.group, {})[parameter.name] = names[parameter.name]
    groups.pop("", None)
    templates.work = 0
    try:
        with HasVariants.assumed(VARIANTS in provided):
            marked = templates.compiled(_blank_header(reject_marks(text))).render({**groups, **names})
    except ERRORS as error:
        raise template_fault(error, text, [*groups, *names], templates) from error
    sql, source_map = extract_source_map(marked)
    sql = sql.rstrip()
    _refuse_other_placeholders(sql, source_map, names.values())
    return sql, source_map


def _refuse_other_placeholders(sql: str, source_map: SourceMap, printed: Iterable[Placeholder]) -> None:
    """A literal `{name:Identifier}` would let a request choose a column."""
    own = {placeholder_sql(placeholder) for placeholder in printed}
    for placeholder in PLACEHOLDER.finditer(sql):
        if placeholder[0] not in own:
            hint = f"Declare it and write {{{{ {placeholder[1]} }}}}"
            message = f"{placeholder[0]} is not a placeholder of a parameter"
            raise source_map.fault(sql, placeholder.start(), message, hint)


def _blank_header(text: str) -> str:
    """The text with empty lines in place of the header, so that line numbers stay."""
    lines = text.split("\n")
    header_length = 0
    while header_length < len(lines) and lines[header_length].startswith("--"):
        header_length += 1
    return "\n" * header_length + "\n".join(lines[header_length:])


def placeholders(sql: str) -> set[str]:
    """The names of the placeholders in a rendered text.

    >>> sorted(placeholders("select {a:String}, {b:Array(UInt8)}"))
    ['a', 'b']
    """
    return {placeholder[1] for placeholder in PLACEHOLDER.finditer(sql)}


def select_values(sql: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values for the placeholders of a rendered text.

    The driver formats `%` in the text if it gets any value, so a text without placeholders must
    get none.

    >>> select_values("select {a:String}", {"a": "tea", "b": "mug"})
    {'a': 'tea'}
    """
    names = placeholders(sql)
    return {name: value for name, value in values.items() if name in names}
