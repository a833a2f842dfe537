"""One entry of a file, such as a surface: its values by name, each checked for its kind; faults are collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from alsobought.surfaces.yaml_parts import Faults, Part, did_you_mean


class Section:
    """A mapping that may have these names and no others. A value of the wrong kind is a fault, and its default is read."""

    def __init__(self, name: str, part: Part, names: Sequence[str], faults: Faults) -> None:
        self.name, self.part, self._faults = name, part, faults
        self._parts: Mapping[str, Part] = {}
        if not part.is_mapping:
            faults.add(part, f"{name} has no values", f"Write below it, indented: {names[0]}: …")
            return
        self._parts = part.value
        for unknown in [key for key in self._parts if key not in names]:
            faults.add(self._parts[unknown], f"{name} has no {unknown}", did_you_mean(unknown, names))

    def __contains__(self, name: str) -> bool:
        return name in self._parts and self._parts[name].value is not None

    def at(self, name: str) -> Part:
        """Where this value stands, or the section if it has none."""
        return self._parts.get(name, self.part)

    def fault(self, name: str, message: str, hint: str = "") -> None:
        self._faults.add(self.at(name), message, hint)

    def text(self, name: str, default: str = "", choices: Sequence[str] = ()) -> str:
        value = self._parts[name].value if name in self else default
        if not isinstance(value, str):
            self.fault(
                name, f"{name}: {_shown(value)} is not a name", f"Write {name}: {choices[0] if choices else '…'}"
            )
            return default
        if choices and value not in choices:
            self.fault(name, f"{name}: {value} is not one of {', '.join(choices)}", did_you_mean(value, choices))
            return default
        return value

    def texts(self, name: str) -> list[tuple[str, Part]]:
        """A list of names, or a single one, with where they stand."""
        parts = self.listed(name)
        if not all(isinstance(one.value, str) for one in parts):
            self.fault(name, f"{name} is not a list of names", f"Write {name}: [one, another]")
            return []
        return [(one.value, one) for one in parts]

    def listed(self, name: str) -> list[Part]:
        """The parts of a list, or a single one; none if there is no such value."""
        part = self._parts.get(name, Part(self.part.line, None))
        return part.value if isinstance(part.value, list) else [] if part.value is None else [part]

    def parts(self, name: str) -> Mapping[str, Part]:
        """The named parts of a value."""
        if name not in self:
            return {}
        part = self._parts[name]
        if not part.is_mapping:
            self.fault(name, f"{name}: {_shown(part.value)} has no names", f"Write {name}: {{name: value}}")
            return {}
        named: Mapping[str, Part] = part.value
        return named

    def flag(self, name: str) -> bool:
        value = self._parts[name].value if name in self else False
        if not isinstance(value, bool):
            self.fault(name, f"{name}: {_shown(value)} is neither true nor false")
            return False
        return value

    def day(self, name: str, default: date) -> date:
        value = self._parts[name].value if name in self else default
        if isinstance(value, datetime) or not isinstance(value, date):
            self.fault(name, f"{name}: {_shown(value)} is not a day", f"Write {name}: 2026-12-24")
            return default
        return value


def plain(part: Part) -> Any:
    """The value of a part without lines; days as text."""
    if isinstance(part.value, list):
        return [plain(one) for one in part.value]
    if isinstance(part.value, dict):
        return {name: plain(one) for name, one in part.value.items()}
    return part.value.isoformat() if isinstance(part.value, date) else part.value


def _shown(value: Any) -> str:
    return "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else repr(value)[:60]
