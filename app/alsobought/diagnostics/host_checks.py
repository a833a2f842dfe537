"""Checks without the engine: settings, project folder, port and disk."""

from __future__ import annotations

import http.client
import importlib.metadata
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from alsobought.console import ago
from alsobought.diagnostics.findings import Finding
from alsobought.errors import Unusable
from alsobought.formats.reading import FORMATS
from alsobought.migrations.files import migrations
from alsobought.project.manifest import read_manifest
from alsobought.project.upgrade import planned
from alsobought.settings import PREFIX, Settings, deprecations
from alsobought.storage.folder_lock import folder_of, is_open_to_others
from alsobought.web.guard import is_loopback
from alsobought.web.server import require_free_port, url
from alsobought.writer.submission import utc_now


def check_settings(environ: Mapping[str, str], faults: list[str]) -> Iterator[Finding]:
    """Invalid and deprecated settings; `faults` are those that `read_settings` returned."""
    for fault in faults:
        yield Finding(
            "settings",
            "fault",
            fault,
            "docs/reference/settings.md lists the settings; the checks below use the default",
        )
    for warning in deprecations(environ):
        yield Finding("settings", "warning", warning, "A later version will no longer accept the old name")
    if not faults:
        names = sorted(name for name in environ if name.startswith(PREFIX))
        yield Finding("settings", "ok", f"set: {', '.join(names)}" if names else "all defaults")


def check_home(settings: Settings) -> Iterator[Finding]:
    """The project folder, and whether the package has newer files for it."""
    home = settings.home_folder
    counts = []
    for name in ("pipes", "sql/macros", "sql/checks"):
        if not (home / name).is_dir():
            raise Unusable(
                f"there is no folder {name} in {home}",
                "Set ALSOBOUGHT_HOME to the project's folder, or create one with `alsobought init`",
            )
        counts.append(f"{len(list((home / name).glob('*.sql')))} in {name}")
    counts.append(f"{len(migrations(home / 'migrations'))} in migrations")
    yield Finding("home", "ok", f"{home}: {', '.join(counts)}")
    if read_manifest(home):
        yield _check_project(home)


def _check_project(home: Path) -> Finding:
    plan = planned(home)
    project, package = plan.manifest.version, importlib.metadata.version("alsobought")
    if newer := len(plan.writes):
        message = f"made with {project}; the package, {package}, has {newer} newer file{'s' * (newer > 1)}"
        advice = "`alsobought upgrade --dry-run` lists them, `alsobought upgrade` installs them"
        return Finding("project", "warning", message, advice)
    return Finding("project", "ok", f"up to date with the package, {package}")


def check_port(settings: Settings) -> Iterator[Finding]:
    """The port is free, or a running alsobought answers on it."""
    try:
        require_free_port(settings)
    except Unusable:
        if (_get_json(settings, "/healthz") or {}).get("status") != "alive":
            raise
        newest = _newest_event(_get_json(settings, "/readyz") or {})
        yield Finding("port", "ok", f"an alsobought answers on {url(settings)}; {newest}")
    else:
        yield Finding("port", "ok", f"{settings.port} on {settings.host} is free")


def _newest_event(ready: Mapping[str, object]) -> str:
    if ready.get("status") == "ready" and "as_of" not in ready:
        return "it is ready, and needs a key to show more"
    as_of = ready.get("as_of")
    return f"its newest event was stored {time_since(str(as_of))}" if as_of else "it is not ready, or has no events"


def check_webhooks(settings: Settings) -> Iterator[Finding]:
    """A note, where others reach the webhooks and no secret is set: a proxy may ask for one."""
    if settings.access == "open" and not is_loopback(settings.host) and not settings.webhook_secret:
        paths = ", ".join(f"/events/{name}" for name in FORMATS)
        problem = f"{paths} accept calls without a secret: ALSOBOUGHT_WEBHOOK_SECRET is not set"
        yield Finding("webhooks", "ok", problem)


def _get_json(settings: Settings, path: str) -> dict[str, object] | None:
    """The JSON response on our port; None if another program holds it."""
    address = url(settings).removeprefix("http://")
    try:
        connection = http.client.HTTPConnection(address, timeout=3)
        connection.request("GET", path)
        return msgspec.json.decode(connection.getresponse().read(), type=dict[str, object])
    except (OSError, http.client.HTTPException, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def check_disk(settings: Settings) -> Iterator[Finding]:
    """The data folder is writable, and has room."""
    folder = folder_of(settings.warehouse_dsn)
    if folder is None:
        return
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield Finding("disk", "fault", f"the folder {existing} is not writable", "Set ALSOBOUGHT_DATA")
        return
    if existing == folder and is_open_to_others(folder):
        problem = f"other users of this machine can read the folder {folder}"
        yield Finding("disk", "warning", problem, f"Run `chmod go-rwx {folder}`")
    free_bytes = shutil.disk_usage(existing).free
    message = f"{free_bytes / 1e9:,.1f} GB free for {folder}"
    threshold = f"Nothing is stored below {settings.min_free_bytes / 1e9:,.1f} GB"
    if free_bytes < settings.min_free_bytes:
        yield Finding("disk", "fault", message, f"{threshold}: make room, or set ALSOBOUGHT_MIN_FREE_BYTES")
    elif free_bytes < 4 * settings.min_free_bytes:
        yield Finding("disk", "warning", message, f"{threshold}: make room in time")
    else:
        yield Finding("disk", "ok", message)


def time_since(timestamp: str) -> str:
    """The time since an ISO timestamp, in words such as `5 hours ago`."""
    return ago((utc_now() - datetime.fromisoformat(timestamp)).total_seconds())
