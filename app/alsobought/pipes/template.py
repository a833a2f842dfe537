"""Text of a pipe → SQL with ClickHouse parameters. Values travel beside the text: no injection can be written.

`{{ x }}` becomes `{x:Type}`. A parameter has no text of its own: whatever would take it (`~`, a filter, an attribute)
is an error at load. `{% if x %}` means "was given". Of Jinja there are printing, if, macros and names for literals, nothing that
repeats: a text can neither hang nor fill the memory.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.bccache import Bucket
from jinja2.compiler import CodeGenerator, Frame
from jinja2.sandbox import ImmutableSandboxedEnvironment

from alsobought.errors import PipeFault
from alsobought.pipes.csv_files import CsvFile, Literals, Words, read_csv
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.source_map import Marks, Places, called, unmarked, without_marks

CLOCK = Parameter("now", "DateTime", "the time of the request")
ASKED = Parameter("asked_pipe", "String", "the pipe that was asked: this one, or the one whose list it fills")
ALWAYS = (CLOCK, ASKED)  # what is there without being declared, in macros too
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*):[^{}]+\}")
MAX_TEXT = 200_000
MAX_WORK = 1_000_000  # characters printed and macros called, again and again, on the way to one text
ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.CondExpr),
    *(nodes.Not, nodes.And, nodes.Or, nodes.Macro, nodes.FromImport, nodes.Call, nodes.Keyword, nodes.Assign),
)
INSTEAD = "A template prints {{ parameters }}, literals and macros, and leaves lines out with {% if %}"


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

    __str__ = __repr__ = __format__ = __iter__ = __len__ = __getitem__ = __eq__ = __hash__ = _refuse


class _Compiler(CodeGenerator):
    """Refuses, before anything of it runs, what a pipe has no use for: loops, filters, attributes, arithmetic."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802 - Jinja's name
        for part in node.find_all(nodes.Node):
            if not isinstance(part, ALLOWED):
                self.fail(f"{_in_words(part)} does not belong in a pipe", part.lineno)
            if isinstance(part, nodes.Assign) and not _names_a_literal(part):
                self.fail("{% set %} gives one literal a name", part.lineno)
        super().visit_Template(node, frame)


def _names_a_literal(node: nodes.Assign) -> bool:
    return isinstance(node.target, nodes.Name) and isinstance(node.node, nodes.Const)


def _in_words(node: nodes.Node) -> str:
    name = type(node).__name__.lower()
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


class Templates(ImmutableSandboxedEnvironment):
    """The Jinja of pipes. It counts what a rendering prints and calls, since macros of macros of macros grow fast."""

    code_generator_class = _Compiler
    work = 0
    texts: Mapping[str, str] = {}  # of the macros, by the names of their files
    csv_texts: Mapping[str, str | PipeFault] = {}
    words: Words

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.csv_read: dict[str, CsvFile] = {}  # those that were asked for
        self._compiled: dict[str, jinja2.Template] = {}

    def compiled(self, text: str) -> jinja2.Template:
        """A pipe's text, read once whatever its parameters are."""
        if text not in self._compiled:
            self._compiled[text] = self.from_string(text)
        return self._compiled[text]

    def get_template(self, name: Any, *args: Any, **named: Any) -> Any:
        """What `{% from … %}` imports from: a file of macros, or a CSV file."""
        return _Module(self, name) if name in self.csv_texts else super().get_template(name, *args, **named)

    def csv(self, name: str) -> CsvFile:
        """Raises PipeFault with the faults of the file."""
        if name not in self.csv_read:
            text = self.csv_texts[name]
            if isinstance(text, PipeFault):
                raise text
            self.csv_read[name] = read_csv(name, text, self.words)
        return self.csv_read[name]

    def call(self, context: Any, function: Any, /, *args: Any, **named: Any) -> Any:
        self.spend(10)
        result = super().call(context, function, *args, **named)
        return called(result) if isinstance(result, str) else result

    def spend(self, work: int) -> None:
        self.work += work
        if self.work > MAX_WORK:
            raise PipeFault("the macros never come to an end", "Do they call each other?")

    def printed(self, value: Any) -> Any:
        """What `{{ … }}` may print: parameters as placeholders, text and numbers that the files hold."""
        if isinstance(value, Placeholder):
            return object.__getattribute__(value, "_sql")
        if isinstance(value, Literals):
            return self.printed(str(value))
        if isinstance(value, jinja2.Undefined) or (
            isinstance(value, (str, int, float)) and not isinstance(value, bool)
        ):
            self.spend(len(value) if isinstance(value, str) else 1)
            return value
        raise PipeFault(f"{{{{ … }}}} cannot print a {type(value).__name__}", INSTEAD)


class _Macros(jinja2.BytecodeCache):
    """A file of macros is compiled once for all pipes, and again when it changes."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


_macros = _Macros()


class _Module:
    """What a CSV file is to a template: a module with one function, called as the file is. It is read when that is called."""

    def __init__(self, jinja: Templates, name: str) -> None:
        def ask(*columns: Any, **where: Any) -> Literals:
            return jinja.csv(name)(*columns, **where)

        self.__name__ = name
        setattr(self, name.removesuffix(".csv"), ask)

    def _get_default_module(self, *_: Any) -> _Module:
        return self

    make_module = _get_default_module


def environment(macros: Path, words: Words | None = None) -> Templates:
    """Jinja with the macros of one folder, and the CSV files of the one above it, as they are now: a pipe keeps those it was
    checked with. `words`: what columns of CSV files may hold.

    Raises UnicodeDecodeError, OSError, PipeFault for a macro that is too large.
    """
    texts = {path.name: without_marks(read_text(path), path.name) for path in files(macros)}
    made = Templates(
        loader=jinja2.FunctionLoader(lambda name: (texts[name], str(macros / name), None) if name in texts else None),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        extensions=[Marks],
        bytecode_cache=_macros,
    )
    made.texts = texts
    made.csv_texts = {path.name: _csv_text(path) for path in files(macros.parent, ".csv")}
    made.words = words or {}
    made.finalize = made.printed
    made.filters.clear()
    made.globals.clear()
    made.globals.update({always.name: Placeholder(always, given=True) for always in ALWAYS})
    return made


def _csv_text(path: Path) -> str | PipeFault:
    """The text, or why there is none: only who asks for the file hears of it."""
    try:
        return read_text(path)
    except PipeFault as fault:
        return fault
    except (UnicodeError, OSError):
        return PipeFault(f"{path.name} is not UTF-8 text", "Save it as UTF-8")


def read_text(path: Path) -> str:
    """The text of a file, lines ending as they do on Unix; no more of it is read than may be there.

    Raises PipeFault, UnicodeDecodeError, OSError.
    """
    with path.open("rb") as file:
        found = file.read(4 * MAX_TEXT + 1)
    if len(found) > 4 * MAX_TEXT:
        raise PipeFault(f"{path.name} has more than {4 * MAX_TEXT:,} bytes", f"At most {MAX_TEXT:,} characters")
    return in_lines(found.decode("utf-8-sig"))


def in_lines(text: str) -> str:
    """The text with the ends of lines that Unix has."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def files(folder: Path, suffix: str = ".sql") -> list[Path]:
    """The SQL files of a folder, sorted; not what an editor leaves beside them while it writes (`.#name.sql`)."""
    return sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))


def render(text: str, parameters: Sequence[Parameter], given: Collection[str], jinja: Templates) -> tuple[str, Places]:
    """The SQL of a pipe where these parameters were given, and where in the files its characters came from.

    Raises PipeFault with the line.
    """
    if len(text) > MAX_TEXT:
        raise PipeFault(f"{len(text):,} characters; at most {MAX_TEXT:,}")
    names: dict[str, Any] = {p.name: Placeholder(p, p.name in given) for p in parameters}
    names |= {always.name: Placeholder(always, given=True) for always in ALWAYS}
    jinja.work = 0
    try:
        marked = jinja.compiled(_body(without_marks(text))).render(names)
    except PipeFault as fault:
        found = _located(fault, fault.message, fault.hint, fault.line)
        if fault.others:  # of a CSV file
            found.others = tuple(
                PipeFault(_located(fault, one.message, one.hint).message, one.hint, found.line) for one in fault.others
            )
        raise found from fault
    except jinja2.TemplateSyntaxError as error:
        message = error.message or "the template cannot be read"
        if error.name:  # a macro's file
            message = f"{error.name}, line {error.lineno}: {message}"
            raise PipeFault(message, INSTEAD, _lines_of(error)[0]) from error
        raise PipeFault(message, INSTEAD, error.lineno) from error
    except jinja2.TemplateNotFound as error:
        known = [*jinja.texts, *jinja.csv_texts]
        raise _located(error, f"no macros called {error.name}", _near(str(error.name or ""), known)) from error
    except jinja2.UndefinedError as error:
        raise _unknown_name(error, [*names, *_imported(text)]) from error
    except (RecursionError, SyntaxError) as error:  # Python's own limits on what Jinja makes of the text
        raise PipeFault("nested too deeply, or macros that call each other", line=_lines_of(error)[0]) from error
    except (jinja2.TemplateError, TypeError, ValueError, MemoryError) as error:
        raise _located(error, str(error) or type(error).__name__, INSTEAD) from error
    sql, places = unmarked(marked)
    sql = sql.rstrip()
    _only_printed_parameters(sql, places, names.values())
    return sql, places


def _unknown_name(error: jinja2.UndefinedError, names: Sequence[str]) -> PipeFault:
    message = str(error.message)
    if missing := re.match(r"parameter ('\w+') was not provided", message):
        return _located(error, f"a macro is called without {missing[1]}", "Give it all that it takes")
    wanted = re.match(r"'(\w+)' is undefined", message)
    return _located(error, message, _near(wanted[1] if wanted else "", names))


def _imported(text: str) -> list[str]:
    """The macros that a text names, as it calls them."""
    lists = re.findall(r"\{%-?\s*from\s+\S+\s+import\s+([^%]*?)-?%\}", text)
    return [one.split()[-1] for names in lists for one in names.split(",") if one.strip()]


def _near(wanted: str, names: Collection[str]) -> str:
    """Did you mean …? There are …"""
    near = get_close_matches(wanted, names, n=1)
    return (f"Did you mean {near[0]}? " if near else "") + f"There are {', '.join(names) or 'none'}"


def _located(error: BaseException, message: str, hint: str, line: int = 0) -> PipeFault:
    """A fault that came up while a template ran: the line of the pipe, and in front the macro that it was in."""
    own, macro = _lines_of(error)
    return PipeFault(macro + message, hint, line or own)


def _only_printed_parameters(sql: str, places: Places, printed: Iterable[Placeholder]) -> None:
    """A `{name:Identifier}` written by hand would let a request name a column."""
    own = {object.__getattribute__(placeholder, "_sql") for placeholder in printed}
    for found in PLACEHOLDER.finditer(sql):
        if found[0] not in own:
            hint = f"Declare it and write {{{{ {found[1]} }}}}"
            raise places.fault(sql, found.start(), f"{found[0]} is written by hand", hint)


def _body(text: str) -> str:
    """The text with an empty line for each line of its header, so that lines keep their numbers."""
    lines = text.split("\n")
    head = 0
    while head < len(lines) and lines[head].startswith("--"):
        head += 1
    return "\n" * head + "\n".join(lines[head:])


def _lines_of(error: BaseException) -> tuple[int, str]:
    """The line of the template that an error came from, and "name.sql, line 5: " if a macro's file raised it.

    Jinja gives compiled templates their own line numbers.
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


def placeholders(sql: str) -> set[str]:
    """The parameters a rendered text mentions.

    >>> sorted(placeholders("select {a:String}, {b:Array(UInt8)}"))
    ['a', 'b']
    """
    return {found[1] for found in PLACEHOLDER.finditer(sql)}


def mentioned(sql: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that a rendered text mentions. One that mentions none must get none: the driver would look for % in it.

    >>> mentioned("select {a:String}", {"a": "tea", "b": "mug"})
    {'a': 'tea'}
    """
    wanted = placeholders(sql)
    return {name: value for name, value in values.items() if name in wanted}
