"""Keep passwords out of messages, logs and tracebacks.

An address is shown as scheme, host and port, and only if it has the form that a driver reads as it looks. Texts that we have
not written ourselves, those of drivers and tracebacks, are searched for the passwords of this process before they are shown.
"""

from __future__ import annotations

import re
import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType
from urllib.parse import quote, quote_plus, unquote, unquote_plus

SERVER = re.compile(
    r"(?P<scheme>https?)://(?:[^/?#\s]*@)?(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{1,5})?"
    r"(?:/[A-Za-z0-9_]*)?/?(?:\?(?!\S*(?:user|pass|token))[^#\s]*)?"
)
"""http(s)://user:password@host:port/database?option=value. A password with / ? or # is read otherwise."""
SHORTEST = 4  # a shorter secret would blot out parts of words
HIDDEN = "***"
NOT_SECRET = {"alsobought", "chdb", "http", "https"}  # parts of addresses, and words of our own messages
_secrets: set[str] = set()


def is_server(dsn: str) -> bool:
    """True for the address of a server that a driver reads as it looks.

    >>> is_server("http://ann:s@cret@shop:8123/db"), is_server("http://ann:s/cret@shop"), is_server("http://ann:secret")
    (True, False, False)
    """
    return SERVER.fullmatch(dsn) is not None


def shown_address(dsn: str) -> str:
    """Scheme, host and port of a server.

    >>> shown_address("https://ann:s@cret@shop:8123/?compress=lz4"), shown_address("ann:secret@shop")
    ('https://shop:8123', 'of the DSN')
    """
    match = SERVER.fullmatch(dsn)
    return f"{match['scheme']}://{match['host']}{match['port'] or ''}" if match else "of the DSN"


def hide(*addresses: str, secret: str = "") -> None:
    """From now on `redacted` hides this secret, and the passwords in these addresses."""
    parts = [secret, *(part for address in addresses if address for part in _parts(address))]
    _secrets.update(form for part in parts for form in _forms(part) if len(form) >= SHORTEST and form not in NOT_SECRET)


def _parts(address: str) -> Iterator[str]:
    """The password of an address. If a driver would read it in another way than it looks, each part may be the password."""
    body = address.partition("://")[2] or address
    if address.startswith("chdb://") and not set("@?") & set(body):
        return
    if not is_server(address):
        yield from (address, *re.split(r"[:/@?#=&;\s]+", body))
    user_and_password, at, _ = body.rpartition("@")
    if at:
        yield from (address, user_and_password, user_and_password.partition(":")[2])


def _forms(text: str) -> tuple[str, ...]:
    """A text as it is written and as it is meant, percent-encoded, and as Python quotes it."""
    meant = unquote(text)
    return text, meant, unquote_plus(text), quote(meant, safe=""), quote_plus(meant), repr(meant)[1:-1]


def redacted(text: str) -> str:
    """The text without the passwords of this process.

    >>> hide("http://ann:s3cret@shop:8123")
    >>> redacted("no answer from http://ann:s3cret@shop:8123 with s3cret")
    'no answer from *** with ***'
    """
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def redact_tracebacks() -> None:
    """Tracebacks of uncaught exceptions, of each thread, are redacted too."""
    sys.excepthook = _print_traceback
    threading.excepthook = lambda args: _print_traceback(args.exc_type, args.exc_value, args.exc_traceback)


def _print_traceback(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if not issubclass(kind, SystemExit):
        sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))
