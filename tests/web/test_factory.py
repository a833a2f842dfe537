"""Pipes are loaded before anybody asks for them."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from alsobought.errors import NoSuchPipe
from alsobought.web import factory
from alsobought.web.factory import load_pipes_ahead


class Pipes:
    """A library of three pipes, one of which disappears; it notes which were loaded."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.done = threading.Event()

    def names(self) -> list[str]:
        return ["also_bought", "deleted", "popular"]

    def entry(self, name: str) -> Any:
        self.loaded.append(name)
        if name == "deleted":
            raise NoSuchPipe("no pipe called 'deleted'")
        if name == "popular":
            self.done.set()
        return SimpleNamespace()


def test_every_pipe_is_loaded_although_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factory, "LOAD_AFTER_SECONDS", 0.0)
    pipes = Pipes()
    stop = load_pipes_ahead(cast(Any, pipes))
    assert pipes.done.wait(30)
    stop()
    assert pipes.loaded == pipes.names()


def test_a_service_that_stops_loads_no_more() -> None:
    pipes = Pipes()
    load_pipes_ahead(cast(Any, pipes))()
    assert pipes.loaded == []
