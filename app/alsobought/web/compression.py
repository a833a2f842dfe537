"""Unpack compressed request bodies, within the limit for bodies. Pure."""

from __future__ import annotations

import zlib

from alsobought.errors import BadRequest, TooLarge, UnsupportedEncoding

GZIP_START = b"\x1f\x8b"
GZIP, ZLIB, RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS  # forms of compressed data, as zlib numbers them


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its Content-Encoding: gzip or deflate. A body that begins like gzip is gzip, even if no header says it.

    >>> unpacked(zlib.compress(b"tea"), "deflate", 100)
    b'tea'

    Raises UnsupportedEncoding, BadRequest if the data are broken, TooLarge if more than `limit` bytes come out.
    """
    name = encoding.strip().lower()
    if name in ("gzip", "x-gzip") or (name in ("", "identity") and body.startswith(GZIP_START)):
        return _inflated(body, GZIP, limit)
    if name in ("", "identity"):
        return body
    if name != "deflate":
        raise UnsupportedEncoding(
            f"Content-Encoding: {encoding[:40]!r} is not supported", "Send gzip or deflate, or neither"
        )
    try:
        return _inflated(body, ZLIB, limit)
    except BadRequest:
        return _inflated(body, RAW, limit)  # some clients leave the header of zlib out


def _inflated(body: bytes, form: int, limit: int) -> bytes:
    """Members of gzip may follow each other."""
    parts: list[bytes] = []
    size = 0
    while body:
        inflater = zlib.decompressobj(form)
        try:
            part = inflater.decompress(body, limit + 1 - size)
        except zlib.error as error:
            raise BadRequest("the compressed body is broken or incomplete", "Send all of it again") from error
        size += len(part)
        if size > limit:
            raise TooLarge(f"the body is larger than {limit:,} bytes when it is unpacked", "Send it in parts")
        if not inflater.eof:
            raise BadRequest("the compressed body is broken or incomplete", "Send all of it again")
        parts.append(part)
        body = inflater.unused_data.lstrip(b"\0") if form == GZIP else b""
    return b"".join(parts)
