"""Turn an exception of a template into a PipeFault with the line of the pipe and, if any, of the macro."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path

import jinja2

from alsobought.errors import PipeFault
from alsobought.pipes.sandbox import ALLOWED_HINT, Templates

ERRORS = (PipeFault, jinja2.TemplateError, RecursionError, SyntaxError, TypeError, ValueError, MemoryError)
"""What compiling and rendering a template may raise."""


def template_fault(error: BaseException, text: str, names: Collection[str], templates: Templates) -> PipeFault:
    """The fault for one of ERRORS. `names`: the parameters of the template."""
    match error:
        case PipeFault():
            return _located_fault(error)
        case jinja2.TemplateSyntaxError():
            return _syntax_fault(error)
        case jinja2.TemplateNotFound():
            hint = _suggestion(str(error.name or ""), [*templates.texts, *templates.csv_texts])
            return _located(error, f"there is no macro file {error.name}", hint)
        case jinja2.UndefinedError():
            return _undefined(error, [*names, *_imported_names(text)])
        case RecursionError() | SyntaxError():  # limits of Python for the code that Jinja generates
            return PipeFault("nested too deeply, or macros that call each other", line=_location(error)[0])
    return _located(error, str(error) or type(error).__name__, ALLOWED_HINT)


def _located_fault(fault: PipeFault) -> PipeFault:
    located = _located(fault, fault.message, fault.hint, fault.line)
    if fault.others:  # of a CSV file
        located.others = tuple(
            PipeFault(_located(fault, other.message, other.hint).message, other.hint, located.line)
            for other in fault.others
        )
    return located


def _syntax_fault(error: jinja2.TemplateSyntaxError) -> PipeFault:
    message = error.message or "the template cannot be parsed"
    if not error.name:
        return PipeFault(message, ALLOWED_HINT, error.lineno)
    message = f"{error.name}, line {error.lineno}: {message}"  # of a macro file
    return PipeFault(message, ALLOWED_HINT, _location(error)[0])


def _undefined(error: jinja2.UndefinedError, names: Sequence[str]) -> PipeFault:
    message = str(error.message)
    if missing := re.match(r"parameter ('\w+') was not provided", message):
        return _located(error, f"a macro is called without {missing[1]}", "Pass all its arguments")
    undefined = re.match(r"'(\w+)' is undefined", message)
    return _located(error, message, _suggestion(undefined[1] if undefined else "", names))


def _imported_names(text: str) -> list[str]:
    """The names that the imports of a template define."""
    lists = re.findall(r"\{%-?\s*from\s+\S+\s+import\s+([^%]*?)-?%\}", text)
    return [name.split()[-1] for names in lists for name in names.split(",") if name.strip()]


def _suggestion(name: str, names: Collection[str]) -> str:
    """Did you mean …? There are …"""
    near = get_close_matches(name, names, n=1)
    return (f"Did you mean {near[0]}? " if near else "") + f"There are {', '.join(names) or 'none'}"


def _located(error: BaseException, message: str, hint: str, line: int = 0) -> PipeFault:
    """A fault at the line of the pipe; the message begins with the location in the macro, if any."""
    pipe_line, macro = _location(error)
    return PipeFault(macro + message, hint, line or pipe_line)


def _location(error: BaseException) -> tuple[int, str]:
    """The line of the pipe, and "name.sql, line 5: " if a macro file raised the error.

    Jinja gives the frames of compiled templates the line numbers of their source.
    """
    line, macro = 0, ""
    trace = error.__traceback__
    while trace:
        name = trace.tb_frame.f_code.co_filename
        if name == "<template>":
            line, macro = trace.tb_lineno, ""
        elif name.endswith(".sql"):
            macro = f"{Path(name).name}, line {trace.tb_lineno}: "
        trace = trace.tb_next
    return line, macro
