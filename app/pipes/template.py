"""Text of a pipe → SQL with ClickHouse parameters. Values travel beside the text: there is no way to write an injection.

`{{ x }}` becomes `{x:Type}`. A parameter has no text of its own: whatever would take it (`~`, a filter, an attribute)
is an error at load. `{% if x %}` means "was given".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.errors import PipeFault
from app.pipes.parameters import Parameter

CLOCK = Parameter("now", "DateTime", "the time of the request")
MAX_TEXT = 200_000


class Placeholder:
    """A parameter inside a template: it can be printed whole, passed to a macro and asked whether it was given."""

    __slots__ = ("_given", "_sql")

    def __init__(self, parameter: Parameter, given: bool) -> None:
        self._sql = f"{{{parameter.name}:{parameter.sql_type}}}"
        self._given = given

    def __bool__(self) -> bool:
        return self._given

    def _refuse(self, *_: Any) -> NoReturn:
        raise PipeFault("a parameter can only be printed whole, as {{ name }}", "Let the SQL calculate with it")

    __str__ = __repr__ = __format__ = __html__ = __iter__ = __len__ = __getitem__ = __contains__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __mul__ = __mod__ = _refuse
    __call__ = __sub__ = __truediv__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def _printed(value: Any) -> Any:
    """What `{{ … }}` may print: parameters as placeholders, text and numbers that the files hold."""
    if isinstance(value, Placeholder):
        return object.__getattribute__(value, "_sql")
    if isinstance(value, jinja2.Undefined) or (isinstance(value, (str, int, float)) and not isinstance(value, bool)):
        return value
    raise PipeFault(f"{{{{ … }}}} cannot print a {type(value).__name__}", "Print parameters, literals and macros")


def environment(macros: Path) -> ImmutableSandboxedEnvironment:
    """The Jinja of pipes: macros from one folder, no filters, no functions."""
    made = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(macros),
        undefined=jinja2.StrictUndefined,
        finalize=_printed,
        autoescape=False,
        keep_trailing_newline=True,
    )
    made.filters.clear()
    made.globals.clear()
    return made


def render(
    text: str, parameters: Sequence[Parameter], given: Collection[str], jinja: ImmutableSandboxedEnvironment
) -> str:
    """The SQL of a pipe where these parameters were given.

    Raises PipeFault with the line.
    """
    if len(text) > MAX_TEXT:
        raise PipeFault(f"{len(text):,} characters; at most {MAX_TEXT:,}")
    names: dict[str, Any] = {p.name: Placeholder(p, p.name in given) for p in (*parameters, CLOCK)}
    try:
        return jinja.from_string(_body(text)).render(names).strip()
    except PipeFault as fault:
        raise PipeFault(fault.message, fault.hint, fault.line or _line_of(fault)) from fault
    except jinja2.TemplateSyntaxError as error:
        raise PipeFault(error.message or "the template cannot be read", line=error.lineno) from error
    except jinja2.UndefinedError as error:
        known = ", ".join(names)
        raise PipeFault(str(error.message), f"There are {known}", _line_of(error)) from error
    except (jinja2.TemplateError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise PipeFault(str(error) or type(error).__name__, line=_line_of(error)) from error


def _body(text: str) -> str:
    """The text with an empty line for each line of its header, so that lines keep their numbers."""
    lines = text.splitlines(keepends=True)
    head = 0
    while head < len(lines) and lines[head].startswith("--"):
        head += 1
    return "\n" * head + "".join(lines[head:])


def _line_of(error: BaseException) -> int:
    """The line of the template that an error came from: Jinja gives compiled templates their own line numbers."""
    line = 0
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def placeholders(sql: str) -> set[str]:
    """The parameters a rendered text mentions.

    >>> sorted(placeholders("select {a:String}, {b:Array(UInt8)}"))
    ['a', 'b']
    """
    return set(re.findall(r"\{([a-z][a-z0-9_]*):[^{}]+\}", sql))
