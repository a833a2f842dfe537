"""Exceptions of the database driver become Alsobought's errors; the engine's own text stays in the chained exception."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from alsobought.errors import AlsoboughtError, TooSlow
from alsobought.redaction import redacted

LIMIT_CODES = {158, 159, 160, 241, 307, 396}  # rows, time, time, memory, bytes, result rows


@contextmanager
def translated_errors(kind: type[AlsoboughtError]) -> Iterator[None]:
    """Raises TooSlow where a limit was hit, and `kind` for every other exception of the driver."""
    try:
        yield
    except AlsoboughtError:
        raise
    except Exception as error:
        code = getattr(error, "code", None) or _code(str(error))
        if code in LIMIT_CODES:
            raise TooSlow(f"stopped by a limit: {first_line(error)}", "Request less data") from error
        raise kind(first_line(error)) from error


def first_line(error: Exception) -> str:
    """The engine's message without stack trace, codes and passwords."""
    text = redacted(str(error)).strip().split("\n", 1)[0]
    if system_error := re.search(r"\[Errno -?\d+\] ([\w ]+)", text):  # the HTTP client adds many words around it
        return system_error[1].lower()
    return text.partition("DB::Exception: ")[2] or text or type(error).__name__


def is_unanswered(error: Exception) -> bool:
    """True if a server could not be reached, or ended before it answered."""
    return "DB::Exception" not in f"{error} {error.__cause__}"


def _code(message: str) -> int:
    digits = message.partition("Code: ")[2].partition(".")[0]
    return int(digits) if digits.isdigit() else 0
