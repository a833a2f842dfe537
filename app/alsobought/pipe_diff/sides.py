"""One side of a comparison: a pipe's text with the other pipes and macros of the same revision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alsobought.errors import NoSuchPipe, Unusable
from alsobought.pipes.fallbacks import item_column
from alsobought.pipes.library import Library, Pipe
from alsobought.serving.answers import open_library
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse


@dataclass(frozen=True)
class Side:
    """`pipe` is None and `fault` is set for a broken text. With a `fallback_fault`, empty answers stay empty."""

    label: str
    library: Library
    pipe: Pipe | None
    fault: str
    fallback_fault: str = ""

    def accepts(self, parameter: str) -> bool:
        """True if the pipe has this parameter, or is broken, so that its parameters are unknown."""
        return self.pipe is None or self.pipe.accepts(parameter)

    @property
    def item_column(self) -> str:
        """The column whose values are the list: the items, else the first column."""
        names = [name for name, _ in self.pipe.columns] if self.pipe else []
        return item_column(names) or (names[0] if names else "")

    @property
    def key(self) -> str:
        """The column that assigns rows to lists, if an answer may contain several."""
        key = self.pipe.header.key if self.pipe else ""
        return key if key != self.item_column else ""


def open_side(label: str, folder: Path, warehouse: Warehouse, name: str) -> Side:
    """The pipe of that name in a folder with pipes/ and sql/macros/. Raises Unusable if there is none."""
    library = open_library(Settings(home=str(folder)), warehouse)
    try:
        entry = library.entry(name)
    except NoSuchPipe as error:
        names = ", ".join(library.names()) or "none"
        hint = f"There are {names}; test a new pipe with cases instead"
        raise Unusable(f"there is no pipe {name} in {label}", hint) from error
    fallback = entry.pipe.header.fallback if entry.pipe else None
    return Side(label, library, entry.pipe, _fault(library, name), _fault(library, fallback.pipe) if fallback else "")


def _fault(library: Library, name: str) -> str:
    fault = library.entry(name).fault
    location = f"pipes/{name}.sql" + (f":{fault.line}" if fault and fault.line else "")
    return f"{location}: {fault}" if fault else ""
