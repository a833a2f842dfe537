"""Show the text or bytes of a message on a terminal, with control characters made harmless."""

from __future__ import annotations

import unicodedata

import msgspec


def printable(text: str) -> str:
    """Text with escapes for characters that are not printable."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def message_text(message: bytes) -> str:
    """JSON indented, other text as it is, and anything else as a hex dump."""
    if not message:
        return "(empty)"
    try:
        text = message.decode()
        if any(unicodedata.category(char) == "Cc" for char in text if char not in "\t\r\n"):
            return hex_dump(message)
        msgspec.json.decode(message, type=msgspec.Raw)
        return msgspec.json.format(message, indent=2).decode()
    except UnicodeDecodeError:
        return hex_dump(message)
    except (msgspec.DecodeError, RecursionError):
        return text


def hex_dump(message: bytes) -> str:
    """16 bytes a line, in hexadecimal and as ASCII.

    >>> print(hex_dump(b"tea \\xff"))
    00000000  74 65 61 20 ff                                   tea .
    """
    lines = []
    for start in range(0, len(message), 16):
        chunk = message[start : start + 16]
        ascii_text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in chunk)
        lines.append(f"{start:08x}  {chunk.hex(' '):47}  {ascii_text}")
    return "\n".join(lines)
