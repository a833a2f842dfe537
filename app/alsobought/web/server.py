"""Run gunicorn: HTTP processes behind one port, each with threads.

chDB allows one process, and must be imported after the fork. Several processes share a ClickHouse server, and then none of them
may be a writer (ADR 20).
"""

from __future__ import annotations

import logging
import multiprocessing
import re
import resource
import socket
import sys
from collections.abc import Callable
from typing import Any

from alsobought.access.gate import Gate
from alsobought.errors import AlsoboughtError, Unusable
from alsobought.logs import open_log
from alsobought.serving.siblings import FIRST_SLOT, Siblings
from alsobought.settings import Settings, hosts_for_editing
from alsobought.storage.folder_lock import folder_of, refuse_if_held

log = logging.getLogger(__name__)

HUNG_SECONDS = 60  # without a sign of life from a worker: gunicorn starts another
FILES = 65_536
APP_LOAD_ERROR = 4  # gunicorn's exit code for an application that does not load: it stops instead of retrying


def serve(settings: Settings, when_ready: Callable[[str], None] | None = None, *, edit: bool = False) -> None:
    """Serve until stopped; `when_ready(url)` runs in the first worker once it accepts requests.

    Raises Unusable for an occupied port, unrestricted editing or workers without a writer beside them, WarehouseFault for a
    folder that another process holds.
    """
    from gunicorn.app.base import BaseApplication
    from gunicorn.glogging import Logger

    from alsobought.web import worker
    from alsobought.web.shared_metrics import SharedMetrics

    if edit:
        require_restricted_editing(settings)
    require_writer_beside_workers(settings)
    require_free_port_and_folder(settings)
    allow_many_files()
    open_log(settings.log, settings.log_level)
    logging.getLogger("gunicorn.error").addFilter(_is_not_load_error)

    class RootLogger(Logger):  # type: ignore[misc]
        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            self.error_log.handlers.clear()
            self.error_log.propagate = True

    siblings, shared_metrics, first_failure = Siblings(), SharedMetrics(), multiprocessing.Lock()

    def pre_fork(_server: Any, process: Any) -> None:
        process.slot = siblings.take_slot()

    def post_fork(_server: Any, process: Any) -> None:
        siblings.join(process.slot)

    def post_worker_init(process: Any) -> None:
        if settings.workers > 1:
            process.wsgi.extensions["metrics"].share(shared_metrics, process.slot)
        if when_ready and process.slot == FIRST_SLOT:
            when_ready(url(settings))

    def child_exit(_server: Any, process: Any) -> None:
        siblings.free_slot(process.slot)
        shared_metrics.end(process.slot)

    class Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            options = _gunicorn_options(settings) | {"worker_class": worker.Worker, "logger_class": RootLogger}
            options |= {hook.__name__: hook for hook in (pre_fork, post_fork, post_worker_init, child_exit)}
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            from alsobought.web.factory import served_app

            try:
                return served_app(settings, edit=edit, siblings=siblings)
            except AlsoboughtError as error:
                if not first_failure.acquire(block=False):
                    sys.exit()  # a second one would fail in the midst of gunicorn's stop
                sys.stderr.write(f"alsobought: {error}\n")
                sys.stderr.flush()
                sys.exit(APP_LOAD_ERROR)

    Server().run()


def allow_many_files() -> None:
    """Raise the limit of open files, of which a connection is one, as far as this user may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _gunicorn_options(settings: Settings) -> dict[str, Any]:
    return {
        "bind": [f"{_bracketed(host)}:{port}" for host, port in listening(settings)],
        "workers": settings.workers,
        "timeout": HUNG_SECONDS,  # of the event loop, which waits for nothing
        "graceful_timeout": 10,
        "loglevel": "warning",
        "control_socket_disable": True,
    }


def _is_not_load_error(record: logging.LogRecord) -> bool:
    """False for messages about an application that did not load: the worker prints the reason."""
    text = record.getMessage()
    return not re.search(
        f"exited with code {APP_LOAD_ERROR}\\b|^Shutting down: Master|^Reason: App failed to load", text
    )


def url(settings: Settings) -> str:
    """A URL at which a browser on this machine reaches the service.

    >>> url(Settings(host="::1")), url(Settings(host="0.0.0.0"))
    ('http://[::1]:8080', 'http://127.0.0.1:8080')
    """
    return _url(*listening(settings)[0])


def page_url(settings: Settings) -> str:
    """The URL of the workbench on this machine: on the port of administrators, if there is one.

    >>> page_url(Settings(host="0.0.0.0", admin_port=8081))
    'http://127.0.0.1:8081'
    """
    return _url(*listening(settings)[-1])


def listening(settings: Settings) -> list[tuple[str, int]]:
    """The public host and port, and those of administrators if there are any."""
    public = (settings.host, settings.port)
    return [public, (settings.admin_host, settings.admin_port)] if settings.admin_port else [public]


def _url(host: str, port: int) -> str:
    loopback = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104
    return f"http://{loopback.get(host) or _bracketed(host)}:{port}"


def _bracketed(host: str) -> str:
    """A host as written before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def require_restricted_editing(settings: Settings) -> None:
    """Raises Unusable for a service that is open to others, without trusted hosts."""
    from alsobought.web.guard import is_loopback, page_host

    host, port = page_host(settings), settings.admin_port or settings.port
    if settings.access == "open" and not is_loopback(host) and not hosts_for_editing(settings):
        raise Unusable(
            f"--edit on {host} would let every client that reaches port {port} edit the pipes",
            "Listen on 127.0.0.1 and connect through `ssh -L`, or ask for keys, without ALSOBOUGHT_ACCESS=open:"
            " `alsobought key create NAME --role analyst`",
        )


def require_keys(settings: Settings, gate: Gate) -> None:
    """Raises Unusable for a service that others reach and nobody has a key for; warns of one that is open to them."""
    from alsobought.web.guard import is_loopback, only_this_machine

    if only_this_machine(settings):
        return
    if settings.access == "open" and settings.admin_port and not is_loopback(settings.admin_host):
        raise Unusable(
            f"ALSOBOUGHT_ACCESS=open would let whoever reaches port {settings.admin_port} of {settings.admin_host} administrate",
            "Set ALSOBOUGHT_ADMIN_HOST=127.0.0.1, or ask for keys: leave out ALSOBOUGHT_ACCESS",
        )
    if settings.access == "open":
        log.warning(
            "ALSOBOUGHT_ACCESS=open: whoever reaches port %s of %s can read every user's history, post events and change the"
            " catalogue",
            settings.port,
            settings.host,
        )
    elif not gate.has_valid_keys():
        raise Unusable(
            f"others can reach {settings.host if not is_loopback(settings.host) else settings.admin_host}, and there is no key",
            "Run `alsobought key create admin --scope admin`, or set ALSOBOUGHT_ADMIN_KEY to 32 characters or more;"
            " ALSOBOUGHT_ACCESS=open serves everybody without a key",
        )


def require_writer_beside_workers(settings: Settings) -> None:
    """Raises Unusable for several workers where each would store events itself."""
    if settings.workers == 1:
        return
    if settings.warehouse_dsn.startswith("chdb:"):
        raise Unusable(
            f"{settings.workers} workers cannot share an embedded warehouse: it belongs to one process",
            "Set ALSOBOUGHT_DSN to a ClickHouse server, or serve with one worker",
        )
    if not settings.kafka:
        raise Unusable(
            f"{settings.workers} workers without Kafka would take turns at storing events, and answer without those of the others",
            "Set ALSOBOUGHT_KAFKA and run `alsobought ingest` beside them, or serve with one worker",
        )


def require_free_port_and_folder(settings: Settings) -> None:
    """Raises Unusable for an occupied port, WarehouseFault for a folder that another process holds."""
    require_free_port(settings)
    if folder := folder_of(settings.warehouse_dsn):
        refuse_if_held(folder)


def require_free_port(settings: Settings) -> None:
    """Raises Unusable."""
    for (host, port), name in zip(listening(settings), ("ALSOBOUGHT_PORT", "ALSOBOUGHT_ADMIN_PORT"), strict=False):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise Unusable(
                    f"port {port} on {host} cannot be used: {(error.strerror or '').lower()}",
                    f"Set {name}, for example {name}={port + 1}",
                ) from error
