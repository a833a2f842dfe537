"""gunicorn with one worker and threads: chDB allows one process, and must be imported after the fork."""

from __future__ import annotations

import logging
import re
import socket
import sys
from collections.abc import Callable
from typing import Any

from alsobought.errors import AlsoboughtError, Unusable
from alsobought.logs import open_log
from alsobought.settings import Settings, hosts_for_editing
from alsobought.storage.folder_lock import folder_of, refuse_if_held

NOT_LOADED = 4  # gunicorn's own word for "the application does not load": it stops instead of trying again


def serve(settings: Settings, when_ready: Callable[[str], None] | None = None, *, edit: bool = False) -> None:
    """Serves until it is stopped; `when_ready(url)` runs in the worker once it answers. Does not return.

    Raises Unusable for an occupied port, and where anybody could edit; WarehouseFault for a folder that another process holds.
    """
    from gunicorn.app.base import BaseApplication
    from gunicorn.glogging import Logger

    from alsobought.web import worker

    if edit:
        refuse_if_anybody_could_edit(settings)
    refuse_if_occupied(settings)
    open_log(settings.log, settings.log_level)
    logging.getLogger("gunicorn.error").addFilter(_is_news)
    logging.getLogger("gunicorn.error").addFilter(worker.is_news)

    class OurLog(Logger):  # type: ignore[misc]
        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            self.error_log.handlers.clear()
            self.error_log.propagate = True

    class Service(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            options: dict[str, Any] = {
                "bind": f"{_host(settings)}:{settings.port}",
                "workers": 1,
                "threads": settings.threads,
                "worker_class": worker.Worker,
                "limit_request_line": 0,  # the worker has a limit for the whole head
                "timeout": 0,  # a worker that heals or merges is not dead
                "graceful_timeout": 10,
                "loglevel": "warning",
                "logger_class": OurLog,
                "keepalive": 30,
            }
            if when_ready:
                options["post_worker_init"] = lambda _worker: when_ready(url(settings))
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            from alsobought.web.factory import served_app

            try:
                return served_app(settings, edit=edit)
            except AlsoboughtError as error:
                sys.stderr.write(f"alsobought: {error}\n")
                sys.stderr.flush()
                sys.exit(NOT_LOADED)

    Service().run()


def _is_news(record: logging.LogRecord) -> bool:
    """Not what gunicorn adds when the worker has already said in one sentence why it does not load."""
    text = record.getMessage()
    return not re.search(f"exited with code {NOT_LOADED}\\b|^Shutting down: Master|^Reason: App failed to load", text)


def url(settings: Settings) -> str:
    """An address at which a browser on this machine finds the service.

    >>> url(Settings(host="::1")), url(Settings(host="0.0.0.0"))
    ('http://[::1]:8080', 'http://127.0.0.1:8080')
    """
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104
    return f"http://{anywhere.get(settings.host) or _host(settings)}:{settings.port}"


def _host(settings: Settings) -> str:
    """The host as it stands before a port: an IPv6 address in brackets."""
    return f"[{settings.host}]" if ":" in settings.host else settings.host


def refuse_if_anybody_could_edit(settings: Settings) -> None:
    """Raises Unusable: who listens to more than this machine must say by which names browsers may come."""
    from alsobought.web.guard import is_loopback

    if not is_loopback(settings.host) and not hosts_for_editing(settings):
        raise Unusable(
            f"--edit on {settings.host} would let everybody who reaches port {settings.port} change the pipes",
            "Listen on 127.0.0.1 and come by `ssh -L`, or name the hosts that you trust all callers of in ALSOBOUGHT_EDIT_HOSTS",
        )


def refuse_if_occupied(settings: Settings) -> None:
    """Raises Unusable for an occupied port, WarehouseFault for a folder that another process holds."""
    refuse_if_port_is_taken(settings)
    if folder := folder_of(settings.warehouse_dsn):
        refuse_if_held(folder)


def refuse_if_port_is_taken(settings: Settings) -> None:
    """Raises Unusable."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise Unusable(
                f"port {settings.port} on {settings.host} cannot be used: {(error.strerror or '').lower()}",
                f"Set ALSOBOUGHT_PORT, for example ALSOBOUGHT_PORT={settings.port + 1}",
            ) from error
