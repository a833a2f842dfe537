"""Commands that are imported when they are called: all of them together take half a second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import cast

import click


class LazyCommands(MutableMapping[str, click.Command]):
    """The commands of a group, from {name: module below `cli`, and the name of the command there}.

    >>> commands = LazyCommands({"audit": "audit:audit", "verify": "restore:verify"})
    >>> list(commands), commands["verify"].name
    (['audit', 'verify'], 'verify')
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._commands: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._commands:
            module, _, command = self._places[name].partition(":")
            self._commands[name] = cast(click.Command, getattr(import_module(f"alsobought.cli.{module}"), command))
        return self._commands[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._places[name], self._commands[name] = "", command

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._commands.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
