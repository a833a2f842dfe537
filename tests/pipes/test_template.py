"""Values never become text, and templates that could do so, or hang, are rejected with their lines."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from alsobought.errors import PipeFault
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.sandbox import VARIANTS, environment
from alsobought.pipes.template import placeholders, render

PARAMETERS = [Parameter("x", "String", "x"), Parameter("y", "UInt8", "y", optional=True)]


@pytest.fixture
def macros(tmp_path: Path) -> Path:
    (tmp_path / "m.sql").write_text("{%- macro quoted(x) -%} lower({{ x }}) {%- endmacro -%}")
    (tmp_path / "n.sql").write_text(
        "{%- from 'm.sql' import quoted -%}{%- macro both(x, y=\"'end'\") -%} {{ quoted(x) }}, {{ y }} {%- endmacro -%}"
    )
    (tmp_path / "named.sql").write_text(
        "{%- set days = 7 -%}{%- macro since(x) -%} {{ x }} - {{ days }} > 0 {%- endmacro -%}"
    )
    (tmp_path / "again.sql").write_text("{%- macro again() -%} {{ again() }}{{ again() }} {%- endmacro -%}")
    (tmp_path / "filtered.sql").write_text("{%- macro filtered(x) -%}\n{{ x|upper }}\n{%- endmacro -%}")
    (tmp_path / "broken.sql").write_text("{%- macro broken(x) -%}\n{% if %}\n{%- endmacro -%}")
    return tmp_path


def sql(text: str, macros: Path, *provided: str) -> str:
    return render(text, PARAMETERS, provided or ("x",), environment(macros))[0]


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{{ x }}", "{x:String}"),
        ("{{x}}{{ x }}", "{x:String}{x:String}"),
        ("{{ now }}", "{now:DateTime64(3, 'UTC')}"),
        ("a {{ 'literal' }} {{ 5 }} {{ 0.5 }}", "a literal 5 0.5"),
        ("{% if x %}given{% endif %}{% if y %}, y too{% endif %}", "given"),
        ("{% if not y %}no y{% elif x %}x{% else %}y{% endif %}", "no y"),
        ("{% if x and not y %}only x{% endif %}", "only x"),
        ("{{ x if x else y }}", "{x:String}"),
        ("{# {{ y }} #}a", "a"),
        ("{% from 'm.sql' import quoted %}{{ quoted(x) }}", "lower({x:String})"),
        ("{% from 'n.sql' import both %}{{ both(x) }}", "lower({x:String}), 'end'"),
        ("{% from 'n.sql' import both as b %}{{ b(y, y=x) }}", "lower({y:UInt8}), {x:String}"),
        ("{% macro f(a) %}[{{ a }}]{% endmacro %}{{ f(f(x)) }}", "[[{x:String}]]"),
        ("{% set days = 28 %}{% set share = 0.3 %}{{ days }} {{ share }}", "28 0.3"),
        ("{% set days = 28 %}{% macro f(a) %}{{ a }} + {{ days }}{% endmacro %}{{ f(days) }}", "28 + 28"),
        ("{% from 'named.sql' import days, since %}{{ since(days) }}", "7 - 7 > 0"),
    ],
)
def test_a_template_prints_parameters_literals_and_macros(macros: Path, text: str, rendered: str) -> None:
    assert sql(text, macros) == rendered


def test_if_tests_whether_a_parameter_was_given(macros: Path) -> None:
    text = "{% if y %}{{ y }}{% else %}none{% endif %}"
    assert sql(text, macros, "x") == "none"
    assert sql(text, macros, "x", "y") == "{y:UInt8}"
    assert sql("{% if now %}{{ now }}{% endif %}", macros) == "{now:DateTime64(3, 'UTC')}", "the clock is always there"


def test_the_name_of_a_group_passes_its_parameters_to_a_macro(macros: Path) -> None:
    parameters = [replace(PARAMETERS[0], group="g"), replace(PARAMETERS[1], group="g"), Parameter("z", "String", "z")]
    text = "{% macro f(a, y, x) %}{{ a }} {{ x }}{% if y %} {{ y }}{% endif %}{% endmacro %}{{ f(1, **g) }}"
    assert render(text, parameters, ["x", "z"], environment(macros))[0] == "1 {x:String}"
    assert render(text, parameters, ["x", "y"], environment(macros))[0] == "1 {x:String} {y:UInt8}"
    with pytest.raises(PipeFault, match=r"unexpected keyword argument 'x'|takes no keyword argument 'x'"):
        render("{% macro f(y) %}{% endmacro %}{{ f(**g) }}", parameters, ["x"], environment(macros))
    with pytest.raises(PipeFault, match="'h' is undefined") as fault:
        render("{% macro f(y) %}{% endmacro %}{{ f(**h) }}", parameters, ["x"], environment(macros))
    assert "There are g" in fault.value.hint


def test_a_text_knows_whether_there_are_variants_in_macros_too(macros: Path) -> None:
    (macros / "v.sql").write_text(
        "{%- macro v() -%} {% if has_variants %} many {% else %} one {% endif %} {%- endmacro -%}"
    )
    text = "{% from 'v.sql' import v %}{{ v() }}{% if has_variants %} and here {% endif %}"
    templates = environment(macros)
    assert render(text, PARAMETERS, ["x"], templates)[0].split() == ["one"]
    assert render(text, PARAMETERS, ["x", VARIANTS], templates)[0].split() == ["many", "and", "here"]
    assert render(text, PARAMETERS, ["x"], templates)[0].split() == ["one"]


def test_the_rendered_text_has_no_values(macros: Path) -> None:
    """Rendering never sees a value."""
    assert placeholders(sql("select {{ x }}, {{ y }}", macros)) == {"x", "y"}


def test_lines_keep_the_numbers_they_have_in_the_file(macros: Path) -> None:
    assert sql("-- Best first.\n--\n-- :x String  x\nselect\n    {{ x }}\n", macros) == "\n\n\nselect\n    {x:String}"


REFUSED = {
    "a filter": "{{ x|upper }}",
    "the safe filter": "{{ x|safe }}",
    "a filter of a literal": "{{ 'a'|upper }}",
    "a filter block": "{% filter upper %}{{ x }}{% endfilter %}",
    "joining": "{{ x ~ 'a' }}",
    "joining from the left": "{{ 'a' ~ x }}",
    "the text of a parameter": "{{ x._sql }}",
    "the text of a parameter as an item": "{{ x['_sql'] }}",
    "the value of a parameter": "{{ x._value }}",
    "the class of a parameter": "{{ x.__class__.__init__.__globals__ }}",
    "the class of a literal": "{{ ''.__class__.__mro__ }}",
    "a slice": "{{ x[1:2] }}",
    "a method": "{{ x.upper() }}",
    "a method of a literal": "{{ 'a'.replace('a', 'b') }}",
    "formatting": "{{ '{0._sql}'.format(x) }}",
    "formatting with a percent sign": "{{ '%s' % x }}",
    "calling": "{{ x() }}",
    "adding": "{{ x + 1 }}",
    "adding to": "{{ 1 + x }}",
    "the negative": "{{ -x }}",
    "multiplying": "{{ 'a' * 1000000000 }}",
    "powers": "{{ 9 ** 9 ** 9 ** 9 }}",
    "dividing by zero": "{{ 1 / 0 }}",
    "a list": "{{ [x] }}",
    "a tuple": "{{ x, x }}",
    "a dictionary": "{{ {'a': x} }}",
    "comparing": "{% if x == 'a' %}a{% endif %}",
    "comparing in a print": "{{ x == 1 }}",
    "looking inside": "{% if 'a' in x %}a{% endif %}",
    "a test": "{% if x is string %}a{% endif %}",
    "being defined": "{% if x is defined %}a{% endif %}",
    "a loop over a parameter": "{% for a in x %}{% endfor %}",
    "a loop over a list": "{% for a in ['b'] %}{% endfor %}",
    "a loop over parameters": "{% for a in [x, y] %}{{ a }}{% endfor %}",
    "a name for a parameter": "{% set a = x %}{{ a }}",
    "a name for a macro's text": "{% from 'm.sql' import quoted %}{% set a = quoted(x) %}{{ a }}",
    "two names at once": "{% set a, b = 1, 2 %}{{ a }}",
    "a name for a calculation": "{% set a = 1 + 1 %}{{ a }}",
    "a set block": "{% set a %}{{ x }}{% endset %}{{ a }}",
    "with": "{% with a = x %}{{ a }}{% endwith %}",
    "include": "{% include 'm.sql' %}",
    "include of a file": "{% include '/etc/passwd' %}",
    "include of a file above": "{% include '../../etc/passwd' %}",
    "include of a parameter": "{% include x %}",
    "import": "{% import 'm.sql' as m %}{{ m.quoted(x) }}",
    "macros of a file elsewhere": "{% from '../m.sql' import quoted %}",
    "macros of a parameter": "{% from x import quoted %}",
    "macros that are not there": "{% from 'nope.sql' import quoted %}",
    "a macro that is not there": "{% from 'm.sql' import nope %}{{ nope() }}",
    "extends": "{% extends 'm.sql' %}",
    "a block": "{% block a %}{% endblock %}",
    "a call block": "{% macro f() %}{{ caller() }}{% endmacro %}{% call f() %}{{ x }}{% endcall %}",
    "a macro that is not called": "{% from 'm.sql' import quoted %}{{ quoted }}",
    "the inside of a macro": "{% from 'm.sql' import quoted %}{{ quoted._func }}",
    "the result of a macro cut": "{% from 'm.sql' import quoted %}{{ quoted(x)[1] }}",
    "a name that is not there": "{{ nope }}",
    "a function that is not there": "{{ range(10) }}",
    "Jinja's own": "{{ self }}",
    "a boolean": "{{ true }}",
    "nothing": "{{ none }}",
    "a negation": "{{ not x }}",
    "a placeholder by hand": "select {x:Identifier}",
    "a placeholder by hand in pieces": "select {{ '{x' }}:Identifier}",
    "a placeholder of something else": "select {z:String}",
    "an open print": "{{ x",
    "an open if": "{% if x %}",
    "a tag that is not there": "{% do x %}",
    "a filter in a macro": "{% from 'filtered.sql' import filtered %}{{ filtered(x) }}",
    "a broken macro": "{% from 'broken.sql' import broken %}{{ broken(x) }}",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_everything_else_is_rejected_with_its_line(macros: Path, text: str) -> None:
    with pytest.raises(PipeFault) as raised:
        sql(f"-- Best first.\n\n{text}", macros)
    assert raised.value.line == 3 or "line 2" in raised.value.message  # the second line of a macro's file


def test_an_unknown_name_is_reported_with_the_existing_ones(macros: Path) -> None:
    with pytest.raises(PipeFault, match=r"'limit' is undefined. There are x, y, now"):
        sql("{{ limit }}", macros)


def test_a_fault_in_a_macro_names_its_file(macros: Path) -> None:
    with pytest.raises(PipeFault, match=r"filtered\.sql, line 2: a filter"):
        sql("{% from 'filtered.sql' import filtered %}{{ filtered(x) }}", macros)


def nested_macros(line: str, levels: int = 30) -> str:
    """Macros that call macros that call macros; `line` is the body of each, {} the next one."""
    text = "{% macro f0() %}a{% endmacro %}"
    for level in range(1, levels):
        text += f"{{% macro f{level}() %}}{line.replace('{}', f'f{level - 1}()') * 10}{{% endmacro %}}"
    return text + f"{{{{ f{levels - 1}() }}}}"


BOMBS = {
    "loops": "{% for a in 'aaaaaaaaaa' %}" * 20 + "{% endfor %}" * 20,
    "ifs": "{% if x %}" * 200 + "{% endif %}" * 200,
    "brackets": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "nots": "{% if " + "not " * 3000 + "x %}{% endif %}",
    "macros that print macros": nested_macros("{{ {} }}"),
    "macros that ask macros": nested_macros("{% if {} %}{% endif %}"),
    "macros that double macros": "{% macro g(a, b) %}{% endmacro %}" + nested_macros("{{ g({}, {}) }}"),
    "a macro that calls itself": "{% from 'again.sql' import again %}{{ again() }}",
    "a macro that asks itself": "{% macro f() %}{% if f() %}{% endif %}{% if f() %}{% endif %}{% endmacro %}{{ f() }}",
    "a macro that grows": (
        "{% macro f(a) %}{{ f(g(a)) }}{% endmacro %}{% macro g(a) %}{{ a }}{{ a }}{% endmacro %}{{ f('a') }}"
    ),
    "a large text": "a" * 200_001,
    "a large literal, often": "{% macro f(a) %}" + "{{ a }}" * 1000 + "{% endmacro %}{{ f('" + "a" * 100_000 + "') }}",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_text_that_would_grow_or_hang_is_rejected_quickly(macros: Path, text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(PipeFault):
        sql(text, macros)
    assert time.perf_counter() - started < 3


def test_an_environment_keeps_the_macros_of_its_creation(macros: Path) -> None:
    jinja = environment(macros)
    (macros / "m.sql").write_text("{%- macro quoted(x) -%} upper({{ x }}) {%- endmacro -%}")
    text = "{% from 'm.sql' import quoted %}{{ quoted(x) }}"
    assert render(text, PARAMETERS, ["x"], jinja)[0] == "lower({x:String})"
    assert sql(text, macros) == "upper({x:String})"


def test_lock_files_of_an_editor_are_ignored(macros: Path) -> None:
    (macros / ".#m.sql").symlink_to("somebody@somewhere.1234")
    assert sql("{{ x }}", macros) == "{x:String}"


def test_threads_may_render_the_same_template(macros: Path) -> None:
    jinja = environment(macros)
    rendered_texts: set[str] = set()

    def work() -> None:
        for _ in range(50):
            rendered_texts.add(render("{% from 'n.sql' import both %}{{ both(x) }}", PARAMETERS, ["x"], jinja)[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rendered_texts == {"lower({x:String}), 'end'"}
