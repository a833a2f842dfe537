"""The Jinja environment of pipes: a sandbox with placeholders, if, macros and named literals.

Loops, filters, attributes and arithmetic are refused at compile time. What macros print and call is
counted, since macros that call macros grow exponentially. So a template can neither hang nor
exhaust the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.bccache import Bucket
from jinja2.compiler import CodeGenerator, Frame
from jinja2.sandbox import ImmutableSandboxedEnvironment

from alsobought.errors import PipeFault
from alsobought.pipes.csv_files import AllowedValues, CsvFile, Literals, read_csv
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.source_map import MarkExtension, mark_macro_output, reject_marks
from alsobought.pipes.text_files import list_files, read_text

CLOCK = Parameter("now", "DateTime", "the time of the request")
REQUESTED_PIPE = Parameter(
    "asked_pipe", "String", "the pipe of the request: this one, or the one for which this one is a fallback"
)
BUILT_IN = (CLOCK, REQUESTED_PIPE)  # available without a declaration, in macros too
Constant = bool | int
CONSTANTS: Mapping[str, Constant] = {
    "catalogue_only": False,
    "recommendation_days": 7,
    "attribution_days": 7,
    "view_through_days": 1,
}
"""Settings that templates may use, with their defaults."""
VARIANTS = "has_variants"  # among the provided names: the catalogue has groups of variants
MAX_WORK = 1_000_000  # characters printed, plus ten for each call, in one rendering
ALLOWED_NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.CondExpr),
    *(nodes.Not, nodes.And, nodes.Or, nodes.Macro, nodes.FromImport, nodes.Call, nodes.Keyword, nodes.Assign),
)
ALLOWED_HINT = "A template prints {{ parameters }}, literals and macros, and omits lines with {% if %}"


class Placeholder:
    """A parameter inside a template. It can be printed, passed to a macro and tested with {% if %}.

    Every other use raises, so that `{x:Type}` cannot be changed into something else.
    """

    __slots__ = ("_provided", "_sql")

    def __init__(self, parameter: Parameter, provided: bool) -> None:
        self._sql = f"{{{parameter.name}:{parameter.sql_type}}}"
        self._provided = provided

    def __bool__(self) -> bool:
        return self._provided

    def _refuse(self, *_: Any) -> NoReturn:
        raise PipeFault("a parameter can only be printed as it is, {{ name }}", "Do the calculation in SQL")

    __str__ = __repr__ = __format__ = __iter__ = __len__ = __getitem__ = __eq__ = __hash__ = _refuse


def placeholder_sql(placeholder: Placeholder) -> str:
    """`{x:Type}`. The template itself cannot read it: the sandbox refuses attributes."""
    return str(object.__getattribute__(placeholder, "_sql"))


class HasVariants:
    """`{% if has_variants %}`: true if the catalogue has groups of variants; other catalogues need not pay for them."""

    _exist: ContextVar[bool] = ContextVar("variants", default=False)

    def __bool__(self) -> bool:
        return self._exist.get()

    @classmethod
    @contextmanager
    def assumed(cls, exist: bool) -> Iterator[None]:
        """For the rendering of one text."""
        token = cls._exist.set(exist)
        try:
            yield
        finally:
            cls._exist.reset(token)


class _AllowListCompiler(CodeGenerator):
    """Refuses a template with a node that is not allowed, before any of it runs."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802 - Jinja's name
        for child in node.find_all(nodes.Node):
            if not isinstance(child, ALLOWED_NODES):
                self.fail(f"{_with_article(child)} is not allowed in a pipe", child.lineno)
            if isinstance(child, nodes.Assign) and not _assigns_literal(child):
                self.fail("{% set %} can only assign one literal", child.lineno)
        super().visit_Template(node, frame)


def _assigns_literal(node: nodes.Assign) -> bool:
    return isinstance(node.target, nodes.Name) and isinstance(node.node, nodes.Const)


def _with_article(node: nodes.Node) -> str:
    name = type(node).__name__.lower()
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


class Templates(ImmutableSandboxedEnvironment):
    """The Jinja environment of one state of the macro folder."""

    code_generator_class = _AllowListCompiler
    work = 0
    texts: Mapping[str, str | PipeFault] = {}  # {macro file: its text, or why it has none}
    csv_texts: Mapping[str, str | PipeFault] = {}
    allowed_values: AllowedValues

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.csv_read: dict[str, CsvFile] = {}  # the files that a template has used
        self._compiled: dict[str, jinja2.Template] = {}
        self._printed: dict[str, str] = {}  # {values of a CSV file as SQL: the same without values}

    def compiled(self, text: str) -> jinja2.Template:
        """A pipe's text, compiled once for all combinations of parameters."""
        if text not in self._compiled:
            self._compiled[text] = self.from_string(text)
        return self._compiled[text]

    def get_template(self, name: Any, *args: Any, **named: Any) -> Any:
        """The source of `{% from … import … %}`: a macro file or a CSV file."""
        return _CsvModule(self, name) if name in self.csv_texts else super().get_template(name, *args, **named)

    def csv(self, name: str) -> CsvFile:
        """Raises PipeFault with the faults of the file."""
        if name not in self.csv_read:
            text = self.csv_texts[name]
            if isinstance(text, PipeFault):
                raise text
            self.csv_read[name] = read_csv(name, text, self.allowed_values)
        return self.csv_read[name]

    def call(self, context: Any, function: Any, /, *args: Any, **named: Any) -> Any:
        self.count_work(10)
        result = super().call(context, function, *args, **named)
        return mark_macro_output(result) if isinstance(result, str) else result

    def count_work(self, work: int) -> None:
        self.work += work
        if self.work > MAX_WORK:
            raise PipeFault("macro expansion limit reached", "Do macros call themselves, or each other?")

    def without_values(self, sql: str) -> str:
        """A rendered text without the values of CSV files, which do not matter to its validity."""
        for printed, empty in self._printed.items():
            sql = sql.replace(printed, empty)
        return sql

    def finalize_value(self, value: Any) -> Any:
        """What `{{ value }}` prints: parameters as placeholders, strings and numbers as they are."""
        if isinstance(value, Placeholder):
            return placeholder_sql(value)
        if isinstance(value, Literals):
            sql = str(value)
            self._printed[sql] = value.without_values
            return self.finalize_value(sql)
        if isinstance(value, jinja2.Undefined) or (
            isinstance(value, (str, int, float)) and not isinstance(value, bool)
        ):
            self.count_work(len(value) if isinstance(value, str) else 1)
            return value
        raise PipeFault(f"{{{{ … }}}} cannot print a {type(value).__name__}", ALLOWED_HINT)


class _MacroBytecodeCache(jinja2.BytecodeCache):
    """Macro files are compiled once for all pipes, and again after a change."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


_bytecode_cache = _MacroBytecodeCache()


class _CsvModule:
    """A CSV file as a template module with one function, named like the file. The first call reads the file."""

    def __init__(self, jinja: Templates, name: str) -> None:
        def literals(*columns: Any, **filters: Any) -> Literals:
            return jinja.csv(name)(*columns, **filters)

        self.__name__ = name
        setattr(self, name.removesuffix(".csv"), literals)

    def _get_default_module(self, *_: Any) -> _CsvModule:
        return self

    make_module = _get_default_module


def environment(
    macros: Path, allowed_values: AllowedValues | None = None, constants: Mapping[str, Constant] | None = None
) -> Templates:
    """Jinja with the macros of a folder and the CSV files of its parent folder.

    The files are read now: a pipe keeps those with which it was validated. `allowed_values`
    restricts columns of CSV files; `constants` are the settings that macros may use, in place of their defaults.
    """
    texts = {path.name: _file_text(path) for path in list_files(macros)}

    def load(name: str) -> tuple[str, str, None] | None:
        text = texts.get(name)
        if isinstance(text, PipeFault):
            raise text
        return None if text is None else (text, str(macros / name), None)

    templates = Templates(
        loader=jinja2.FunctionLoader(load),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        extensions=[MarkExtension],
        bytecode_cache=_bytecode_cache,
    )
    templates.texts = texts
    templates.csv_texts = {path.name: _file_text(path) for path in list_files(macros.parent, ".csv")}
    templates.allowed_values = allowed_values or {}
    templates.finalize = templates.finalize_value
    templates.filters.clear()
    templates.globals.clear()
    templates.globals.update({parameter.name: Placeholder(parameter, provided=True) for parameter in BUILT_IN})
    templates.globals.update(CONSTANTS)
    templates.globals.update(constants or {})
    templates.globals["has_variants"] = HasVariants()
    return templates


def _file_text(path: Path) -> str | PipeFault:
    """The text of a file, or its fault, which is raised only if a template uses the file."""
    try:
        return reject_marks(read_text(path), path.name)
    except PipeFault as fault:
        return fault
    except (UnicodeError, OSError):
        return PipeFault(f"{path.name} is not UTF-8 text", "Save it as UTF-8")
