"""Read the columns of a pickled pandas DataFrame without pandas, and without running code of the pickle.

A pickle names functions to call. Here each name that such a table needs stands for a function of ours; any other name is an error.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from alsobought.errors import Unusable


class _Frame:
    """Takes the state of a DataFrame: its blocks of columns, and its axes."""

    state: dict[str, Any]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state


class _Index:
    """Stands for the classes of indexes, which are only named."""


def _buffer(data: bytes, dtype: Any, shape: tuple[int, ...], order: Any) -> Any:
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def _array(subtype: Any, shape: Any, dtype: Any) -> Any:  # noqa: ARG001
    return np.ndarray(shape, dtype)


def _pair(first: Any, second: Any, *_: Any) -> tuple[Any, Any]:
    return first, second


_NAMES: dict[tuple[str, str], Any] = {
    ("pandas.core.frame", "DataFrame"): _Frame,
    ("pandas.core.internals.managers", "BlockManager"): _pair,
    ("pandas._libs.internals", "_unpickle_block"): _pair,
    ("pandas.core.indexes.base", "_new_Index"): _pair,
    ("pandas.core.indexes.base", "Index"): _Index,
    ("pandas.core.indexes.range", "RangeIndex"): _Index,
    ("numpy.core.numeric", "_frombuffer"): _buffer,
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("builtins", "slice"): slice,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed") from None


def read_table(data: bytes) -> Mapping[str, Sequence[Any]]:
    """The columns by name. Raises Unusable for another kind of pickle."""
    try:
        frame = _Unpickler(io.BytesIO(data)).load()
        blocks, axes = frame.state["_mgr"]
        names = axes[0][1]["data"].tolist()
    except (pickle.UnpicklingError, AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise Unusable(f"the table cannot be read: {error}") from error
    columns: dict[str, Sequence[Any]] = {}
    for values, places in blocks:
        numbers = range(places.start, places.stop, places.step or 1) if isinstance(places, slice) else places.tolist()
        columns |= {names[number]: row for number, row in zip(numbers, values, strict=True)}
    return columns
