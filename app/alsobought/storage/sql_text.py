"""Pieces of SQL text: quoted literals and identifiers, times, SETTINGS clauses, and long lists as one parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

SEPARATOR = "\0"  # no id contains it


def quoted(text: str) -> str:
    """A text as a SQL literal, for statements of our own.

    >>> print(quoted("it's a \\\\"))
    'it\\'s a \\\\'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted_identifier(name: str) -> str:
    """A name in backquotes, whatever characters it contains.

    >>> quoted_identifier("a`b\\\\")
    '`a\\\\`b\\\\\\\\`'
    """
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def settings_clause(settings: Mapping[str, Any]) -> str:
    """The SETTINGS clause of a statement.

    >>> settings_clause({"max_threads": 1, "date_time_input_format": "best_effort"})
    "settings max_threads = 1, date_time_input_format = 'best_effort'"
    """
    return "settings " + ", ".join(f"{key} = {value!r}" for key, value in settings.items())


def select_list(parameter: str) -> str:
    """A SELECT of the values that `list_parameter` joined, as the column `listed`.

    Many values travel as one text: an array of 50,000 takes seconds to parse.
    """
    return f"select arrayJoin(splitByChar('\\0', {{{parameter}:String}})) as listed"


def select_pairs(first: str, second: str) -> str:
    """The same for two lists of one length, side by side, as the columns `first` and `second`."""
    split = [f"splitByChar('\\0', {{{parameter}:String}})" for parameter in (first, second)]
    return f"select first, second from (select 1) array join {split[0]} as first, {split[1]} as second"


def with_long_parameters(
    sql: str, parameters: Mapping[str, Any], limit: int
) -> tuple[str, dict[str, Any], dict[str, int]]:
    """The same query with parameters of type String longer than `limit` in its text, and the settings that it then needs.

    >>> with_long_parameters("select {a:String}, {b:String}", {"a": "long", "b": "x"}, 3)
    ("select 'long', {b:String}", {'b': 'x'}, {'max_query_size': 1000025})
    """
    long = {name: value for name, value in parameters.items() if isinstance(value, str) and len(value) > limit}
    for name, value in long.items():
        sql = sql.replace(f"{{{name}:String}}", quoted(value).replace(SEPARATOR, "\\0"))
    short = {name: value for name, value in parameters.items() if name not in long}
    return sql, short, {"max_query_size": 1_000_000 + len(sql.encode())} if long else {}


def list_parameter(values: Iterable[str]) -> str:
    return SEPARATOR.join(values)


def time_text(value: datetime) -> str:
    """A time in milliseconds as ClickHouse reads it.

    >>> time_text(datetime.fromisoformat("2026-01-01T13:00:00.123456+01:00"))
    '2026-01-01 12:00:00.123'
    """
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
