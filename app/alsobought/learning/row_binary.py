"""Decode the format RowBinaryWithNamesAndTypes into columns of numbers."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

NUMPY_TYPES = {
    "UInt8": "u1",
    "Bool": "u1",
    "UInt16": "<u2",
    "Date": "<u2",
    "UInt32": "<u4",
    "DateTime": "<u4",
    "UInt64": "<u8",
    "Int8": "i1",
    "Int16": "<i2",
    "Int32": "<i4",
    "Int64": "<i8",
    "Float32": "<f4",
    "Float64": "<f8",
}
"""The engine's types and numpy's. A Date is in days since 1970, a DateTime in seconds."""


def decode_columns(data: bytes) -> dict[str, np.ndarray]:
    """The columns by name. Raises ValueError with the name and type of a column that is not numeric."""
    import numpy as np

    names, types, start = _header(data)
    for name, column_type in zip(names, types, strict=True):
        if column_type not in NUMPY_TYPES:
            raise ValueError(f"{name} is {column_type}")
    row = np.dtype([(name, NUMPY_TYPES[column_type]) for name, column_type in zip(names, types, strict=True)])
    table = np.frombuffer(data, row, offset=start)
    return {name: np.ascontiguousarray(table[name]) for name in names}


def _header(data: bytes) -> tuple[list[str], list[str], int]:
    """Names and types of the columns, and the position of the first row."""
    stream = io.BytesIO(data)
    width = _varint(stream)
    texts = [stream.read(_varint(stream)).decode() for _ in range(2 * width)]
    return texts[:width], texts[width:], stream.tell()


def _varint(stream: io.BytesIO) -> int:
    """A LEB128 number.

    >>> _varint(io.BytesIO(bytes([0xE5, 0x8E, 0x26])))
    624485
    """
    value = shift = 0
    while True:
        (byte,) = stream.read(1)
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value
