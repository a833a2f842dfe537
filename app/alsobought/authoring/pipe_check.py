"""Validate a project's pipes against an empty warehouse in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from alsobought.pipes.library import Library
from alsobought.service.service import open_service
from alsobought.serving.answers import open_library
from alsobought.settings import Settings
from alsobought.storage.topology import node_settings
from alsobought.storage.warehouse import Warehouse


@contextmanager
def checked_library(settings: Settings) -> Iterator[tuple[Library, Warehouse]]:
    """The pipes of the project, and the warehouse that has its tables without rows."""
    service = open_service(
        msgspec.structs.replace(node_settings(settings, "chdb://:memory:"), database="checked", kafka="")
    )
    try:
        yield open_library(settings, service.warehouse), service.warehouse
    finally:
        service.close()
