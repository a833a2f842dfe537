"""Format a pipe or macro file with sqlfmt."""

from __future__ import annotations

from alsobought.errors import Unusable

LINE_LENGTH = 110


def format_pipe(text: str) -> str:
    """The formatted text; its header stays byte for byte.

    Raises Unusable if sqlfmt is not installed or cannot parse the text.
    """
    try:
        from sqlfmt.api import Mode, format_string
        from sqlfmt.exception import SqlfmtError
    except ImportError as error:
        raise Unusable("sqlfmt is not installed", "Install it with pip install 'alsobought[edit]'") from error
    lines = text.splitlines(keepends=True)
    header_length = next((index for index, line in enumerate(lines) if not line.startswith("--")), len(lines))
    try:
        body = format_string("".join(lines[header_length:]), Mode(dialect_name="clickhouse", line_length=LINE_LENGTH))
    except SqlfmtError as error:
        raise Unusable(f"cannot format: {str(error).removeprefix('sqlfmt encountered an error: ')}") from error
    return "".join(lines[:header_length]) + body
