"""Every setting, with its default and a sentence, read once from the environment (`ALSOBOUGHT_…`).

All faults are told at once. Functions receive what they need; nothing else reads the environment, but for the tests' failpoints.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from alsobought.errors import Unusable
from alsobought.failpoints import VARIABLE as FAILPOINT

PREFIX = "ALSOBOUGHT_"
RENAMED = {
    "bad_share": "dead_letter_max_ratio",
    "events_days": "event_retention_days",
    "repeat_days": "dedup_window_days",
}
"""Old names of settings. They keep working; `deprecations` has a warning for each that is set."""
PROJECT_FOLDERS = ("pipes", "sql", "migrations")

Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[int, Meta(ge=1, le=2**53)]
Days = Annotated[int, Meta(ge=1, le=3650)]
Threads = Annotated[int, Meta(ge=1, le=1000)]
Seconds = Annotated[float, Meta(gt=0, le=60)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Share = Annotated[float, Meta(gt=0, le=1)]


def setting(default: Any, sentence: str) -> Any:
    """A field whose sentence is kept beside it; `sentences()` reads them back."""
    _SENTENCES.append(sentence)
    return default


_SENTENCES: list[str] = []


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    home: str = setting(
        "",
        "Folder that holds pipes/, sql/ and migrations/; empty: the current folder if it holds them, else the package's own files.",
    )
    data: str = setting("data", "Folder of the embedded warehouse.")
    dsn: Annotated[str, Meta(pattern=r"^($|chdb://|https?://)")] = setting(
        "", "chdb:///folder or http(s)://user:password@host:port; empty: the embedded one in `data`."
    )
    reader_dsn: Annotated[str, Meta(pattern=r"^($|https?://)")] = setting(
        "", "The same server for a user who may only read: pipes are asked as this one. Empty: as `dsn`."
    )
    database: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = setting("alsobought", "Name of the database.")
    cluster: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]*$")] = setting(
        "", "Name of the cluster that migrations run on; empty: one node. Untested: no cluster has run it."
    )
    host: str = setting("127.0.0.1", "Address to listen on.")
    port: Port = setting(8080, "Port to listen on.")
    threads: Threads = setting(8, "Requests answered at the same time.")
    kafka: str = setting("", "Kafka's bootstrap servers, comma-separated; empty: none.")
    kafka_group: Name = setting("alsobought", "The ingesters of one warehouse share this consumer group.")
    events_topic: Name = setting("events", "Topic of the events.")
    items_topic: Name = setting("items", "Topic of the items.")
    dead_letter_max_ratio: Share = setting(
        0.5, "Reading from Kafka stands still when more than this share of messages is refused."
    )
    cors: str = setting("", "Origins whose pages may call and post, comma-separated; * for all; empty: none.")
    workbench: Literal["auto", "open", "closed"] = setting(
        "auto",
        "Whether the page shows SQL, lineage and arriving events: open, closed, or auto: to browsers on this machine only.",
    )
    edit_hosts: str = setting(
        "", "Host names by which browsers may reach `serve --edit`, besides this machine's own; comma-separated."
    )
    event_types: str = setting("", "More event types than the standard ones, comma-separated.")
    max_event_bytes: Positive = setting(65_536, "Largest event or item accepted, in bytes.")
    max_body_bytes: Positive = setting(16_777_216, "Largest request body accepted, in bytes.")
    batch_rows: Positive = setting(50_000, "A batch of the writer closes at this many events.")
    batch_seconds: Seconds = setting(0.02, "Or this long after its first event.")
    queue_rows: Positive = setting(200_000, "Events that may wait for the writer before callers are told to come back.")
    min_free_bytes: Positive = setting(268_435_456, "Nothing is stored when the disk has less than this left.")
    dedup_window_days: Days = setting(7, "How long the same event_id is recognised as a repeat.")
    event_retention_days: Annotated[int, Meta(ge=0, le=36_500)] = setting(
        0,
        "Raw events are deleted this many days after they were stored, counts stay; 0: never. More than `dedup_window_days`.",
    )
    check_seconds: Annotated[int, Meta(ge=0, le=2_592_000)] = setting(
        3600, "A running service compares 1 % of the rows of every count table with the events this often; 0: never."
    )
    record_requests: bool = setting(True, "Whether requests to pipes are kept in the table requests, for 90 days.")
    log: Literal["auto", "json", "text"] = setting(
        "auto", "How the log is written: json, text, or auto: text on a terminal and json elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "info", "The least that is logged: debug, info, warning or error. With debug also a line for each request."
    )
    query_seconds: Seconds = setting(5.0, "A pipe that takes longer is stopped.")
    query_memory: Positive = setting(2_000_000_000, "Memory one pipe may use, in bytes.")
    query_rows: Positive = setting(100_000_000, "Rows one pipe may read.")

    @property
    def warehouse_dsn(self) -> str:
        return self.dsn or f"chdb://{self.data_folder}"

    @property
    def data_folder(self) -> Path:
        return Path(self.data).expanduser().resolve()

    @property
    def home_folder(self) -> Path:
        return Path(self.home).expanduser().resolve() if self.home else default_home()


def is_project(folder: Path) -> bool:
    return all((folder / name).is_dir() for name in PROJECT_FOLDERS)


def packaged_home() -> Path:
    """The project files that belong to this package: in the wheel beside the code, in an editable install the checkout."""
    package = Path(__file__).resolve().parent
    checkout = package.parents[1]
    return checkout if is_project(checkout) else package / "project" / "files"


def default_home() -> Path:
    """The current folder if it is a project, else the package's own files."""
    here = Path.cwd()
    return here if is_project(here) else packaged_home()


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def origins(settings: Settings) -> list[str]:
    return _names(settings.cors)


def hosts_for_editing(settings: Settings) -> list[str]:
    return [name.lower() for name in _names(settings.edit_hosts)]


def more_event_types(settings: Settings) -> list[str]:
    return _names(settings.event_types)


def sentences() -> dict[str, str]:
    """{setting: sentence}, in the order they are written above."""
    return dict(zip(Settings.__struct_fields__, _SENTENCES, strict=True))


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process.

    Raises Unusable that names every wrong or unknown variable.
    """
    settings, faults = read_settings(environ)
    if faults:
        raise Unusable("; ".join(faults), "docs/reference/settings.md lists the settings with their defaults")
    return settings


def deprecations(environ: Mapping[str, str] = os.environ) -> list[str]:
    """A warning for each setting that goes by its old name.

    >>> deprecations({"ALSOBOUGHT_REPEAT_DAYS": "14"})
    ['ALSOBOUGHT_REPEAT_DAYS is deprecated: set ALSOBOUGHT_DEDUP_WINDOW_DAYS instead']
    """
    return [
        f"{PREFIX}{old.upper()} is deprecated: set {PREFIX}{new.upper()} instead"
        for old, new in RENAMED.items()
        if environ.get(f"{PREFIX}{old.upper()}", "").strip()
    ]


def read_settings(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """The settings, with the default for each that cannot be read, and what is wrong with those."""
    ours = {
        key[len(PREFIX) :].lower(): value.strip()
        for key, value in environ.items()
        if key.startswith(PREFIX) and key != FAILPOINT
    }
    given = {name: value for name, value in ours.items() if value}  # set to nothing is not set
    faults = []
    for old, new in RENAMED.items():
        if old in given and new in given:
            faults.append(f"{PREFIX}{old.upper()} is the old name of {PREFIX}{new.upper()}, and both are set")
        if old in given:
            given.setdefault(new, given.pop(old))
    for name in [name for name in given if name not in Settings.__struct_fields__]:
        faults.append(f"{PREFIX}{name.upper()} is not a setting")
        del given[name]
    for name, value in list(given.items()):
        try:
            msgspec.convert({name: value}, Settings, strict=False)
        except msgspec.ValidationError as error:
            shown = re.sub(r"//.*@", "//", value)  # a password is for nobody's log
            faults.append(f"{PREFIX}{name.upper()}={shown!r}: {str(error).split(' - at')[0]}")
            del given[name]
    settings = msgspec.convert(given, Settings, strict=False)
    if 0 < settings.event_retention_days <= settings.dedup_window_days:
        retention, window = settings.event_retention_days, settings.dedup_window_days
        faults.append(
            f"{PREFIX}EVENT_RETENTION_DAYS={retention} is not more than {PREFIX}DEDUP_WINDOW_DAYS={window}:"
            " an event that has expired could not be recognised when it comes again"
        )
        settings = msgspec.structs.replace(settings, event_retention_days=0)
    return settings, faults
