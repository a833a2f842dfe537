"""Checks of the connections to other servers, encryption, certificates, passwords and the registry; and of files of secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from alsobought.diagnostics.findings import Finding
from alsobought.kafka import connection
from alsobought.kafka.schema_registry import SchemaRegistry
from alsobought.kafka.schema_registry import tls_files as registry_files
from alsobought.secret_files import is_readable_by_others, secret_files
from alsobought.settings import PREFIX, SECRETS_WITH_FILES, Settings, reader_addresses
from alsobought.storage.clickhouse import tls_files as clickhouse_files
from alsobought.storage.connection_problems import server_of
from alsobought.tls import TlsFiles, certificate_problem, expiries, shake_hands
from alsobought.web.guard import is_loopback

SOON = timedelta(days=30)


@dataclass(frozen=True)
class _Server:
    """A server that we connect to. `tls` is None without encryption; `secret` is true if we send it a password."""

    check: str
    variable: str
    host: str
    port: int
    secret: bool
    tls: TlsFiles | None
    encrypt: str

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


def check_secret_files(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Files of secrets that other accounts of this machine can read."""
    readable = []
    names = list(secret_files(environ, SECRETS_WITH_FILES, PREFIX))
    for variable, path in names:
        if path.is_file() and is_readable_by_others(path):
            readable.append(path)
            message = f"other users of this machine can read {path}, the file of {variable}"
            yield Finding("secrets", "warning", message, f"Run `chmod o-r {path}`")
    if names and not readable:
        yield Finding("secrets", "ok", f"{len(names)} in files that only their owner or group can read")


def check_connections(settings: Settings) -> Iterator[Finding]:
    """Each server: whether what is sent to it is encrypted and verified, and when certificates expire."""
    files = set[str]()
    for server in _servers(settings):
        if server.tls:
            yield _check_encrypted(server, server.tls)
            yield from _check_own_files(server.tls, server.check, files)
        else:
            yield _check_unencrypted(server)


def check_registry(settings: Settings) -> Iterator[Finding]:
    """The schema registry answers. Raises RegistryUnavailable or Unusable."""
    if settings.registry:
        SchemaRegistry(settings).check()
        yield Finding("registry", "ok", f"{settings.registry} answers")


def _servers(settings: Settings) -> Iterator[_Server]:
    seen = set[tuple[str, int]]()
    readers = [("READER_DSN", dsn) for dsn in reader_addresses(settings.reader_dsn)]
    for name, dsn in [("DSN", settings.warehouse_dsn), *readers]:
        if not dsn.startswith("http"):
            continue
        scheme, host, port = server_of(dsn)
        if (host, port) not in seen:
            seen.add((host, port))
            tls = clickhouse_files(settings) if scheme == "https" else None
            secret = bool(urlsplit(dsn).password)
            yield _Server("clickhouse", f"{PREFIX}{name}", host, port, secret, tls, f"Use https:// in {PREFIX}{name}")
    if settings.kafka:
        kafka_tls = connection.tls_files(settings) if connection.uses_tls(settings) else None
        sasl = connection.uses_sasl(settings)
        advice = f"Set {PREFIX}KAFKA_PROTOCOL to {'sasl_ssl' if sasl else 'ssl or sasl_ssl'}"
        for host, port in connection.bootstrap_servers(settings):
            yield _Server("kafka", f"{PREFIX}KAFKA", host, port, sasl, kafka_tls, advice)
    for check, name, url, files, secret in (
        ("kafka", "KAFKA_TOKEN_URL", settings.kafka_token_url, connection.token_files(settings), True),
        ("registry", "REGISTRY", settings.registry, registry_files(settings), bool(settings.registry_user)),
    ):
        parts = urlsplit(url)
        if parts.hostname:
            tls = files if parts.scheme == "https" else None
            port = parts.port or (443 if tls else 80)
            yield _Server(
                check, f"{PREFIX}{name}", parts.hostname, port, secret, tls, f"Use https:// in {PREFIX}{name}"
            )


def _check_encrypted(server: _Server, tls: TlsFiles) -> Finding:
    if not tls.verify:
        message = f"the certificate of {server.address} is not verified: {tls.variable}_VERIFY is false"
        advice = f"Set {tls.variable}_CA to the file with its CA certificate, and unset {tls.variable}_VERIFY"
        return Finding(server.check, "warning", message, advice)
    handshake = shake_hands(server.host, server.port, tls.context())
    problem, advice = certificate_problem(handshake, server.host, server.variable, f"{tls.variable}_CA")
    if problem:
        return Finding(server.check, "fault", f"{server.address} is not trusted: {problem}", advice)
    if handshake.outcome == "client certificate":
        message = f"{server.address} did not accept the client certificate, or asks for one: {handshake.detail}"
        return Finding(server.check, "fault", message, f"Are {tls.variable}_CERTIFICATE and {tls.variable}_KEY right?")
    if handshake.outcome != "verified":
        reason = "it speaks no TLS" if handshake.outcome == "no TLS" else handshake.detail
        message = f"no encrypted connection to {server.address}: {reason}"
        return Finding(server.check, "fault", message, f"Is {server.variable} right, and is it running?")
    if handshake.expires_at and handshake.expires_at - datetime.now(UTC) < SOON:
        message = f"the certificate of {server.address} expires on {handshake.expires_at:%Y-%m-%d}"
        return Finding(server.check, "warning", message, "Renew it on the server")
    return Finding(server.check, "ok", f"the connection to {server.address} is encrypted, its certificate verified")


def _check_unencrypted(server: _Server) -> Finding:
    if is_loopback(server.host):
        return Finding(server.check, "ok", f"the connection to {server.address} stays on this machine, unencrypted")
    if server.secret:
        message = f"a password is sent to {server.address} unencrypted"
        return Finding(server.check, "warning", message, f"{server.encrypt}, unless that network is yours alone")
    return Finding(server.check, "ok", f"the connection to {server.address} is not encrypted, and has no password")


def _check_own_files(files: TlsFiles, check: str, seen: set[str]) -> Iterator[Finding]:
    """The CA certificates and the client certificate. Each file once."""
    for name, path in (("CA", files.ca), ("CERTIFICATE", files.certificate)):
        if not path or path in seen:
            continue
        seen.add(path)
        ends = expiries(Path(path))
        first = min(ends) if name == "CERTIFICATE" else max(ends)  # of several authorities one may have expired
        if first - datetime.now(UTC) < SOON:
            expired = first < datetime.now(UTC)
            verb = "expired" if expired else "expires"
            message = f"{path}, of {files.variable}_{name}, {verb} on {first:%Y-%m-%d}"
            yield Finding(check, "fault" if expired else "warning", message, "Replace it, and restart")
