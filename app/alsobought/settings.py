"""Every setting, with its default and its description, read once from the environment (`ALSOBOUGHT_…`).

All faults are reported at once. Functions receive the values they need; only failpoints read the environment elsewhere.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from alsobought.errors import Unusable
from alsobought.failpoints import VARIABLE as FAILPOINT
from alsobought.redaction import hide, is_server
from alsobought.secret_files import read_secret_files

PREFIX = "ALSOBOUGHT_"
RENAMED = {
    "bad_share": "dead_letter_max_ratio",
    "events_days": "event_retention_days",
    "repeat_days": "dedup_window_days",
}
"""Old names of settings. They keep working; `deprecations` warns of each that is set."""
DEPRECATED = {
    "workbench": "use keys for who may see the workbench (`alsobought key create NAME --role analyst`),"
    " and ALSOBOUGHT_ADMIN_PORT for where",
    "edit_hosts": "use keys for editors (`alsobought key create NAME --role analyst`), and ALSOBOUGHT_ALLOWED_HOSTS for the name",
}
"""Settings that will go, and what to use instead. They keep working; `deprecations` warns of each that is set."""
SCRATCH_SUFFIXES = (
    "_check",
    "_monitor",
    "_before",
    "_after",
    "_adopt",
    "_days",
    "_learn",
    "_all",
    "_rebuild",
    "_rebuild_part",
    "_rebuild_rest",
    "_repair",
    "_verify",
)
"""Databases beside that of a shop, made and dropped at work."""
SECRETS_WITH_FILES = (
    "dsn",
    "reader_dsn",
    "shards",
    "webhook_secret",
    "admin_key",
    "token_secret",
    "kafka_password",
    "kafka_key_password",
    "registry_password",
)
"""Settings that hold a secret: each is also read from the file that `ALSOBOUGHT_…_FILE` names."""
SECRETS = (*SECRETS_WITH_FILES, "kafka", "registry", "kafka_token_url")
"""Settings whose values no message shows: they hold a password, or may by mistake."""
ENCODE = "in a password write @ / ? # and % as %40 %2F %3F %23 and %25"
FORMS = {
    "dsn": f"not of the form chdb:///folder or http(s)://user:password@host:port; {ENCODE}",
    "reader_dsn": f"not of the form http(s)://user:password@host:port; {ENCODE}",
    "shards": "not a list of http(s)://user:password@host:port, with a comma between shards and | between the replicas of one",
    "kafka": "not of the form host:port,host:port",
    "registry": "not of the form http(s)://host:port, without a user and a password",
    "kafka_token_url": "not of the form https://host/path, without a user and a password",
}
CASELESS = {"kafka_protocol": str.lower, "kafka_mechanism": str.upper}
"""Settings whose values are names that others write in the other case."""
PROJECT_FOLDERS = ("pipes", "sql", "migrations")

Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[int, Meta(ge=1, le=2**53)]
Days = Annotated[int, Meta(ge=1, le=3650)]
Threads = Annotated[int, Meta(ge=1, le=1000)]
Workers = Annotated[int, Meta(ge=1, le=64)]
Seconds = Annotated[float, Meta(gt=0, le=60)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
RATE = r"^($|[1-9][0-9]{0,8}/(second|minute|hour)$)"
Ratio = Annotated[float, Meta(gt=0, le=1)]


def setting(default: Any, description: str) -> Any:
    """A field with its description, for `descriptions`."""
    _DESCRIPTIONS.append(description)
    return default


_DESCRIPTIONS: list[str] = []


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    home: str = setting(
        "",
        "Folder with pipes/, sql/ and migrations/; empty: the current folder if it has them, else the files of the package.",
    )
    data: str = setting("data", "Folder of the embedded warehouse.")
    dsn: Annotated[str, Meta(pattern=r"^($|chdb://[^@?]*$|https?://)")] = setting(
        "", "chdb:///folder or http(s)://user:password@host:port; empty: an embedded warehouse in `data`."
    )
    reader_dsn: Annotated[str, Meta(pattern=r"^($|https?://)")] = setting(
        "",
        "The same server with a read-only user, for the queries of pipes; of the replicas of a shard, each with | in between;"
        " empty: `dsn`.",
    )
    dsn_ca: str = setting(
        "",
        "File with the CA certificates that a ClickHouse server's certificate is verified with; empty: the system's.",
    )
    dsn_certificate: str = setting("", "File with the client certificate shown to a ClickHouse server; empty: none.")
    dsn_key: str = setting("", "File with the key of `dsn_certificate`; empty: the same file has it.")
    dsn_verify: bool = setting(
        True,
        "The certificate of a ClickHouse server is verified; false: anybody between can read and change everything.",
    )
    database: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = setting("alsobought", "Name of the database.")
    cluster: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]*$")] = setting(
        "", "Name of the cluster of `shards` in the `remote_servers` of every node."
    )
    shards: str = setting(
        "",
        "The nodes of a cluster: http(s)://user:password@host:port of each, with a comma between shards and | between the replicas"
        " of one, in the order of `cluster`; empty: no cluster.",
    )
    shard: Annotated[int, Meta(ge=0, le=10_000)] = setting(
        0, "Number of the one shard of the cluster that a command works on, as on a server of its own; 0: all of them."
    )
    insert_quorum: Annotated[str, Meta(pattern=r"^(0|auto|[2-9])$")] = setting(
        "0",
        "The number of replicas of a shard that must have a batch before it counts as stored; auto: more than half of them;"
        " 0: the one that writes.",
    )
    host: str = setting("127.0.0.1", "Address to listen on.")
    port: Port = setting(8080, "Port to listen on.")
    admin_port: Annotated[int, Meta(ge=0, le=65535)] = setting(
        0, "Port of their own for the workbench, `/metrics` and `/audit`, which `port` then lacks; 0: none."
    )
    admin_host: str = setting("127.0.0.1", "Address that `admin_port` listens on.")
    allowed_hosts: str = setting(
        "",
        "Host names under which the service answers, besides localhost and addresses: comma-separated, `*.shop.example` for"
        " sub-domains, `*` for all.",
    )
    trusted_proxies: str = setting(
        "",
        "Proxies whose X-Forwarded-For, -Proto, -Host and -Prefix are believed: addresses or networks, comma-separated;"
        " `private`: all private ones.",
    )
    workers: Workers = setting(
        1, "HTTP processes behind the port; more than one need a ClickHouse server, and Kafka with `alsobought ingest`."
    )
    threads: Threads = setting(32, "Requests that one HTTP process answers at the same time.")
    kafka: Annotated[str, Meta(pattern=r"^[^@?#]*$")] = setting(
        "", "Kafka's bootstrap servers, comma-separated; empty: none."
    )
    kafka_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = setting(
        "plaintext", "How Kafka is reached: plaintext, ssl, sasl_plaintext or sasl_ssl."
    )
    kafka_ca: str = setting(
        "", "File with the CA certificates that the brokers' certificates are verified with; empty: the system's."
    )
    kafka_certificate: str = setting("", "File with the client certificate shown to the brokers; empty: none.")
    kafka_key: str = setting("", "File with the key of `kafka_certificate`; empty: the same file has it.")
    kafka_key_password: str = setting("", "Password of the key; empty: it has none.")
    kafka_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = setting(
        "", "SASL mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER."
    )
    kafka_user: str = setting("", "User name for SASL; the client ID for OAUTHBEARER.")
    kafka_password: str = setting("", "Password for SASL; the client secret for OAUTHBEARER.")
    kafka_token_url: Annotated[str, Meta(pattern=r"^($|https?://[^@\s]+$)")] = setting(
        "", "Address that issues tokens for OAUTHBEARER, by the client credentials grant of OAuth 2."
    )
    kafka_token_ca: str = setting(
        "", "File with the CA certificates that the issuer's certificate is verified with; empty: the system's."
    )
    kafka_token_scope: str = setting("", "Scope of those tokens; empty: none.")
    registry: Annotated[str, Meta(pattern=r"^($|https?://[^@?#,\s]+$)")] = setting(
        "", "Schema registry of Avro and Protobuf messages, http(s)://host:port; empty: messages are JSON."
    )
    registry_user: str = setting("", "User name, or API key, for the schema registry; empty: none.")
    registry_password: str = setting("", "Password, or API secret, for the schema registry.")
    registry_ca: str = setting(
        "", "File with the CA certificates that the registry's certificate is verified with; empty: the system's."
    )
    kafka_group: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,200}$")] = setting(
        "",
        "Consumer group, shared by the ingesters of one warehouse; empty: `alsobought`, or `alsobought-` and `database`.",
    )
    kafka_where: Annotated[str, Meta(pattern=r"^($|[^=]+=[^=]+$)")] = setting(
        "",
        "Of topics that several shops share, the messages of this one: PATH=VALUE, such as `properties.site=berlin`;"
        " `|` separates alternatives of both. Empty: all.",
    )
    events_topic: Name = setting("events", "Topic of the events.")
    items_topic: Name = setting("items", "Topic of the items.")
    users_topic: Name = setting("users", "Topic of users with their attributes.")
    dead_letter_max_ratio: Ratio = setting(
        0.5, "The stream from Kafka is halted when more than this share of the latest messages are dead letters."
    )
    access: Literal["auto", "keys", "open"] = setting(
        "auto",
        "Who needs a key: all (keys), nobody (open), or auto: all as soon as there is a key or others reach this machine.",
    )
    admin_key: str = setting("", "A secret key with every scope, for containers: 32 characters or more; empty: none.")
    token_secret: str = setting(
        "",
        "Secrets that sign tokens, comma-separated: the first signs, all verify; empty: one in the data folder, made when needed.",
    )
    token_seconds: Annotated[int, Meta(ge=1, le=86_400)] = setting(3600, "Longest validity of a token, in seconds.")
    server_rate: Annotated[str, Meta(pattern=RATE)] = setting(
        "", "Requests of one secret key without a rate of its own, such as `6000/minute`; empty: no limit."
    )
    browser_rate: Annotated[str, Meta(pattern=RATE)] = setting(
        "600/minute", "Requests of one address with a browser key or a token; empty: no limit."
    )
    webhook_secret: str = setting(
        "",
        "Secret of `POST /events/segment`, `/ga4` and `/snowplow`: a signature or an Authorization header; empty: none.",
    )
    cors: str = setting("", "Origins whose pages may send requests, comma-separated; * for all; empty: none.")
    workbench: Literal["auto", "open", "closed"] = setting(
        "auto",
        "Deprecated. Who sees the workbench without a key: open (all), closed (nobody, not with a key either), auto (browsers on"
        " this machine).",
    )
    edit_hosts: str = setting(
        "", "Deprecated. Host names under which browsers may open `serve --edit` without a key; comma-separated."
    )
    event_types: str = setting("", "Event types besides the standard ones, comma-separated.")
    catalogue_only: bool = setting(False, "Lists show only items of the catalogue, none that only events have named.")
    drop_bots: bool = setting(True, "Events of known bots (`sql/bots.csv`) are dropped, by their user agent.")
    max_event_bytes: Positive = setting(65_536, "Largest event, item or user accepted, in bytes.")
    max_body_bytes: Positive = setting(16_777_216, "Largest request body accepted, in bytes.")
    batch_rows: Positive = setting(50_000, "A batch of the writer closes at this many events.")
    batch_seconds: Seconds = setting(0.02, "A batch of the writer also closes this many seconds after its first event.")
    queue_rows: Positive = setting(200_000, "Events that may wait for the writer; beyond that, callers get 503 `busy`.")
    min_free_bytes: Positive = setting(268_435_456, "Nothing is stored while the disk has less free space than this.")
    dedup_window_days: Days = setting(7, "Days within which an event with a known event_id is dropped as a duplicate.")
    recommendation_days: Days = setting(
        7, "Days within which an event may bring back the recommendation_id of an answer; later the id has expired."
    )
    attribution_days: Days = setting(
        7, "Days after a click on a recommendation within which a purchase is attributed to it."
    )
    view_through_days: Days = setting(
        1, "Days after an impression without a click within which a purchase is attributed to it, as view-through."
    )
    unmerge_days: Days = setting(30, "Days within which the merge of a guest into an account can be undone.")
    event_retention_days: Annotated[int, Meta(ge=0, le=36_500)] = setting(
        0,
        "Raw events are deleted this many days after they were stored, counts stay; 0: never. Must exceed `dedup_window_days`.",
    )
    audit_retention_days: Annotated[int, Meta(ge=0, le=36_500)] = setting(
        365, "Entries of the audit log are deleted after this many days; 0: never."
    )
    experiment_seconds: Annotated[int, Meta(ge=0, le=86_400)] = setting(
        600, "Seconds between two looks at the guardrails of running experiments, which stop a variant; 0: never."
    )
    check_seconds: Annotated[int, Meta(ge=0, le=2_592_000)] = setting(
        3600,
        "Seconds between two comparisons of 1 % of the rows of every count table with the events; 0: never.",
    )
    learn_online: Annotated[int, Meta(ge=0, le=86_400)] = setting(
        0, "Seconds between two refits of the ranker from clicks by the running service; 0: only `alsobought learn`."
    )
    backup_to: Annotated[str, Meta(pattern=r"^(?!s3://[^/]*@)")] = setting(
        "", "Folder of the backups, on another disk, or s3://bucket/prefix; empty: none."
    )
    backup_keep: Annotated[int, Meta(ge=0, le=10_000)] = setting(
        7, "So many backups are kept, the oldest are deleted; 0: all."
    )
    backup_hours: Annotated[int, Meta(ge=0, le=8760)] = setting(
        0, "Hours between two backups that the running service takes to `backup_to`; 0: never."
    )
    scrub_hours: Annotated[int, Meta(ge=0, le=8760)] = setting(
        24, "Hours between two searches for damaged parts by the running service; 0: only those found when it starts."
    )
    backup_retention_days: Annotated[int, Meta(ge=0, le=3650)] = setting(
        0, "Backups are deleted this many days after they were taken, except the newest; 0: only by their number."
    )
    record_requests: bool = setting(True, "Record requests to pipes in the table `requests`.")
    request_retention_days: Days = setting(
        90, "Recorded requests are deleted this many days later, and with them the rest of their week."
    )
    dead_letter_retention_days: Annotated[int, Meta(ge=0, le=3650)] = setting(
        90,
        "Dead letters are deleted this many days later, rejected posts after 30 at the latest; 0: letters of Kafka never.",
    )
    log: Literal["auto", "json", "text"] = setting(
        "auto", "Format of the log: json, text, or auto (text on a terminal, json elsewhere)."
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "info", "Lowest level that is logged: debug, info, warning or error. At debug, each request is logged too."
    )
    slow_seconds: Annotated[float, Meta(ge=0, le=60)] = setting(
        1.0, "Requests to pipes that take this many seconds or more are logged, with their plan; 0: never."
    )
    query_seconds: Seconds = setting(5.0, "Seconds after which a pipe is stopped.")
    query_memory: Annotated[int, Meta(ge=0, le=2**53)] = setting(
        0, "Memory that one pipe may use, in bytes; 0: an eighth of the machine's or container's, at most 2 GB."
    )
    query_rows: Positive = setting(100_000_000, "Rows that one pipe may read.")
    answer_rows: Annotated[int, Meta(ge=10_000, le=2**53)] = setting(
        100_000, "Rows that the answer of one pipe may have; the driver itself needs some thousand."
    )
    answer_bytes: Annotated[int, Meta(ge=1_000_000, le=2**53)] = setting(
        20_000_000, "Bytes that the answer of one pipe may have."
    )

    def __repr__(self) -> str:
        """Without the values of secrets, which a traceback could show."""
        shown = {name: "…" if name in SECRETS else getattr(self, name) for name in self.__struct_fields__}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def warehouse_dsn(self) -> str:
        """Of a cluster, the node for reads over all shards: the first one, unless `dsn` names another; or the one shard."""
        if self.shard:
            return node_addresses(self.shards)[self.shard - 1][0]
        return self.dsn or node_addresses(self.shards)[0][0] or f"chdb://{self.data_folder}"

    @property
    def whole_cluster(self) -> bool:
        """True if these are the settings of a cluster, and not those of one of its shards."""
        return bool(self.shards) and not self.shard

    @property
    def consumer_group(self) -> str:
        """Differs between the shops of a server, which differ in their databases."""
        default = Settings.__struct_defaults__[Settings.__struct_fields__.index("database")]
        return self.kafka_group or ("alsobought" if self.database == default else f"alsobought-{self.database}")

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


def allowed_hosts(settings: Settings) -> list[str]:
    """In lower case. A name that is good enough for editing is good enough for all."""
    return [name.lower() for name in _names(settings.allowed_hosts)] + hosts_for_editing(settings)


def trusted_proxies(settings: Settings) -> list[str]:
    return _names(settings.trusted_proxies)


def hosts_for_editing(settings: Settings) -> list[str]:
    return [name.lower() for name in _names(settings.edit_hosts)]


def extra_event_types(settings: Settings) -> list[str]:
    return _names(settings.event_types)


def descriptions() -> dict[str, str]:
    """{setting: description}, in the order of the fields."""
    return dict(zip(Settings.__struct_fields__, _DESCRIPTIONS, strict=True))


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process. Raises Unusable with every wrong or unknown variable."""
    settings, faults = read_settings(environ)
    if faults:
        raise Unusable("; ".join(faults), "docs/reference/settings.md lists the settings with their defaults")
    return settings


def deprecations(environ: Mapping[str, str] = os.environ) -> list[str]:
    """A warning for each setting that is set by its old name, or has a better successor.

    >>> deprecations({"ALSOBOUGHT_REPEAT_DAYS": "14"})
    ['ALSOBOUGHT_REPEAT_DAYS is deprecated: set ALSOBOUGHT_DEDUP_WINDOW_DAYS instead']
    """
    instead = {old: f"set {PREFIX}{new.upper()} instead" for old, new in RENAMED.items()} | DEPRECATED
    return [
        f"{PREFIX}{name.upper()} is deprecated: {advice}"
        for name, advice in instead.items()
        if environ.get(f"{PREFIX}{name.upper()}", "").strip()
    ]


def tls_options(dsn: str) -> str:
    """The options of a DSN that have settings of their own, which `doctor` checks.

    >>> tls_options("https://ann@shop:8443/?compress=lz4&verify=false")
    'verify'
    """
    names = {option.partition("=")[0] for option in dsn.partition("?")[2].split("&")}
    return ", ".join(sorted(names & {"verify", "ca_cert", "client_cert", "client_cert_key", "tls_mode"}))


def node_addresses(shards: str) -> list[list[str]]:
    """The addresses of the replicas of each shard.

    >>> node_addresses("http://a:8123 | http://b:8123, http://c:8123")
    [['http://a:8123', 'http://b:8123'], ['http://c:8123']]
    """
    return [[address.strip() for address in shard.split("|")] for shard in shards.split(",")]


def reader_addresses(reader_dsn: str) -> list[str]:
    """The addresses for the queries of pipes, one for each replica if there are several.

    >>> reader_addresses("http://ann:a|b@a:8123 | http://ann:a|b@b:8123"), reader_addresses("")
    (['http://ann:a|b@a:8123', 'http://ann:a|b@b:8123'], [])
    """
    return re.split(r"\s*\|\s*(?=https?://)", reader_dsn) if reader_dsn else []


def all_addresses(shards: str) -> list[str]:
    """The addresses of all nodes.

    >>> all_addresses("http://a:8123|http://b:8123,http://c:8123")
    ['http://a:8123', 'http://b:8123', 'http://c:8123']
    """
    return [address for shard in node_addresses(shards) for address in shard]


def _addresses(name: str, value: str) -> list[str]:
    """The addresses in a setting that has one, or several."""
    if name == "shards":
        return all_addresses(value)
    return reader_addresses(value) if name == "reader_dsn" else [value]


def _fault(name: str, value: str) -> str:
    """The fault of one value; empty if it is valid."""
    variable = f"{PREFIX}{name.upper()}"
    try:
        msgspec.convert({name: value}, Settings, strict=False)
    except msgspec.ValidationError as error:
        if name in SECRETS:
            return f"{variable} is {FORMS.get(name, 'not valid')}"
        shown = value if "@" not in value and "://" not in value and "=" not in value else "…"
        return f"{variable}={shown!r}: {str(error).split(' - at')[0]}"
    if name in ("dsn", "reader_dsn", "shards") and not value.startswith("chdb://"):
        addresses = _addresses(name, value)
        if not all(map(is_server, addresses)):
            return f"{variable} is {FORMS[name]}"
        if options := next(filter(None, map(tls_options, addresses)), ""):
            return f"{variable} has {options}: set ALSOBOUGHT_DSN_CA, _CERTIFICATE, _KEY and _VERIFY instead"
    return ""


def _hide_secrets(values: Mapping[str, str]) -> None:
    """From now on no message shows them."""
    for name in ("dsn", "reader_dsn", "shards"):
        hide(*_addresses(name, values.get(name, "")))
    for name in SECRETS_WITH_FILES[3:]:
        for secret in values.get(name, "").split(",") if name == "token_secret" else (values.get(name, ""),):
            hide(secret=secret.strip())
    for name in ("kafka", "registry", "kafka_token_url"):
        address = values.get(name, "")
        hide(address if "@" in address or (name == "kafka" and set("?#") & set(address)) else "")


def read_settings(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """The settings, with the default for each that is invalid, and the faults of those."""
    ours = {
        key[len(PREFIX) :].lower(): value.strip()
        for key, value in environ.items()
        if key.startswith(PREFIX) and key != FAILPOINT
    }
    values = {name: value for name, value in ours.items() if value}  # an empty variable is not set
    faults = read_secret_files(values, SECRETS_WITH_FILES, PREFIX)
    _hide_secrets(values)
    for name in CASELESS.keys() & values.keys():
        values[name] = CASELESS[name](values[name])
    for old, new in RENAMED.items():
        if old in values and new in values:
            faults.append(f"{PREFIX}{old.upper()} is the old name of {PREFIX}{new.upper()}, and both are set")
        if old in values:
            values.setdefault(new, values.pop(old))
    for name in [name for name in values if name not in Settings.__struct_fields__]:
        faults.append(f"{PREFIX}{name.upper()} is not a setting")
        del values[name]
    for name, value in list(values.items()):
        if fault := _fault(name, value):
            faults.append(fault)
            del values[name]
    return _without_contradictions(msgspec.convert(values, Settings, strict=False), faults), faults


def _without_contradictions(settings: Settings, faults: list[str]) -> Settings:
    """The settings with the default for each that does not go with another; adds the faults of those."""
    if suffix := next((suffix for suffix in SCRATCH_SUFFIXES if settings.database.endswith(suffix)), ""):
        faults.append(
            f"{PREFIX}DATABASE={settings.database}: names that end in {suffix} are those of temporary databases,"
            f" which a shop with the database {settings.database.removesuffix(suffix)} would delete"
        )
        settings = msgspec.structs.replace(settings, database="alsobought")
    if bool(settings.shards) != bool(settings.cluster):
        lacking, other = ("CLUSTER", "SHARDS") if settings.shards else ("SHARDS", "CLUSTER")
        faults.append(f"{PREFIX}{other} is set without {PREFIX}{lacking}: a cluster needs both")
        settings = msgspec.structs.replace(settings, shards="", cluster="")
    if settings.shard > (shards := len(node_addresses(settings.shards)) if settings.shards else 0):
        faults.append(f"{PREFIX}SHARD={settings.shard}: {PREFIX}SHARDS has {shards}")
        settings = msgspec.structs.replace(settings, shard=0)
    if settings.admin_port == settings.port:
        faults.append(f"{PREFIX}ADMIN_PORT={settings.admin_port} is also {PREFIX}PORT: it has to be another one")
        settings = msgspec.structs.replace(settings, admin_port=0)
    for proxy in trusted_proxies(settings):
        try:
            if proxy == "private":
                continue
            ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            faults.append(f"{PREFIX}TRUSTED_PROXIES: {proxy!r} is no address or network, such as 10.0.0.0/8")
            settings = msgspec.structs.replace(settings, trusted_proxies="")
    if 0 < settings.event_retention_days <= settings.dedup_window_days:
        retention, window = settings.event_retention_days, settings.dedup_window_days
        faults.append(
            f"{PREFIX}EVENT_RETENTION_DAYS={retention} is not more than {PREFIX}DEDUP_WINDOW_DAYS={window}:"
            " an event that has expired could not be recognized as a duplicate"
        )
        settings = msgspec.structs.replace(settings, event_retention_days=0)
    return settings
