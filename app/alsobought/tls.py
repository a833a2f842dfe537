"""TLS to other servers: the files of a connection, why a handshake fails, and when certificates expire.

Kafka's client and the database driver name their own options in errors, or no reason at all. A handshake of our own gives the
reason, and the error then names the setting.
"""

from __future__ import annotations

import base64
import re
import socket
import ssl
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from alsobought.errors import Unusable

PROBE_SECONDS = 3.0
NAME_MISMATCH, IP_MISMATCH, EXPIRED, NOT_YET_VALID = 62, 64, 10, 9  # X509_V_ERR_… of OpenSSL
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s(.*?)-----END CERTIFICATE-----", re.S)

ALERT_SECONDS = 0.3

Outcome = Literal["verified", "no TLS", "unreachable", "name", "expired", "issuer", "client certificate"]


@dataclass(frozen=True)
class TlsFiles:
    """The files of a connection; `variable` is the prefix of their settings, such as `ALSOBOUGHT_KAFKA`."""

    variable: str
    ca: str = ""
    certificate: str = ""
    key: str = ""
    key_password: str = ""
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Raises Unusable, with the setting, for a file that cannot be used."""
        self._require_files()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.ca:
            try:
                context.load_verify_locations(self.ca)
            except ssl.SSLError as error:
                raise Unusable(f"{self.variable}_CA: {self.ca} has no certificate in PEM format") from error
        else:
            context.load_default_certs()
        if self.certificate:
            self._load_certificate(context)
        return context

    def _require_files(self) -> None:
        for name, path in (("CA", self.ca), ("CERTIFICATE", self.certificate), ("KEY", self.key)):
            try:
                if path:
                    Path(path).open("rb").close()
            except OSError as error:
                reason = (error.strerror or type(error).__name__).lower()
                raise Unusable(f"{self.variable}_{name}: {path} cannot be read: {reason}") from error
        if self.key and not self.certificate:
            raise Unusable(f"{self.variable}_KEY is set without {self.variable}_CERTIFICATE", "Set both, or neither")

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        try:  # the password is never asked for on the terminal
            context.load_cert_chain(self.certificate, self.key or None, password=lambda: self.key_password or "none")
        except ssl.SSLError as error:
            if not expiries(Path(self.certificate)):
                fault = f"{self.variable}_CERTIFICATE: {self.certificate} has no certificate in PEM format"
                raise Unusable(fault) from error
            if "mismatch" in str(error).lower():
                fault = f"{self.variable}_KEY does not belong to the certificate in {self.certificate}"
                raise Unusable(fault) from error
            raise Unusable(
                f"{self.variable}_KEY: {self.key or self.certificate} has no key in PEM format that can be read",
                f"Does it have a password? Then {self.variable}_KEY_PASSWORD has to be that"
                if self.variable.endswith("KAFKA")
                else "It must not have a password",
            ) from error


@dataclass(frozen=True)
class Handshake:
    """What came of a handshake: `detail` is why it failed, `expires_at` the end of the server's certificate if it was verified."""

    outcome: Outcome
    detail: str = ""
    expires_at: datetime | None = None


def shake_hands(host: str, port: int, context: ssl.SSLContext) -> Handshake:
    """One TLS handshake, without a request."""
    try:
        connection = socket.create_connection((host, port), PROBE_SECONDS)
    except OSError as error:
        return Handshake("unreachable", (error.strerror or str(error)).lower())
    with closing(connection):
        try:
            with context.wrap_socket(connection, server_hostname=host) as secured:
                expires_at, alert = _end(secured.getpeercert()), _alert(secured)
                return Handshake("client certificate" if alert else "verified", alert, expires_at)
        except ssl.SSLCertVerificationError as error:
            outcomes: dict[int, Outcome] = {
                NAME_MISMATCH: "name",
                IP_MISMATCH: "name",
                EXPIRED: "expired",
                NOT_YET_VALID: "expired",
            }
            return Handshake(outcomes.get(error.verify_code, "issuer"), error.verify_message)
        except (OSError, ValueError) as error:
            return Handshake("no TLS", str(error))


def _alert(secured: ssl.SSLSocket) -> str:
    """What a server objects to after the handshake: in TLS 1.3 it looks at the client certificate only then."""
    secured.settimeout(ALERT_SECONDS)
    try:
        secured.recv(1)
    except ssl.SSLError as error:
        return str(error) if "alert" in str(error).lower() else ""
    except OSError:  # it waits for a request
        return ""
    return ""


def certificate_problem(handshake: Handshake, host: str, address: str, ca: str) -> tuple[str, str]:
    """The problem with the certificate of a server and its remedy; empty if it is none.

    `address` and `ca` are the settings of the server's address and of the CA file.
    """
    if handshake.outcome == "name":
        return f"its certificate is not for the name {host}", f"Use a name of the certificate in {address}"
    if handshake.outcome == "expired":
        return f"its certificate is not valid today: {handshake.detail}", "Renew it on the server"
    if handshake.outcome == "issuer":
        problem = f"its certificate is not signed by a known authority: {handshake.detail}"
        return problem, f"Set {ca} to the file with the CA certificate of the server"
    return "", ""


def _end(certificate: object) -> datetime | None:
    end = certificate.get("notAfter") if isinstance(certificate, dict) else None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC) if isinstance(end, str) else None


def expiries(path: Path) -> list[datetime]:
    """When the certificates of a file in PEM format expire, in the order of the file."""
    text = path.read_text("ascii", errors="replace")
    return [_not_after(base64.b64decode(body)) for body in CERTIFICATE.findall(text)]


def _not_after(der: bytes) -> datetime:
    """The second time of the validity: after the version, serial number, algorithm and issuer (RFC 5280, 4.1)."""
    _, at, _ = _element(der, 0)
    _, at, _ = _element(der, at)
    tag, _, end = _element(der, at)
    skipped = 4 if tag == 0xA0 else 3  # the version may be left out
    for _ in range(skipped):
        at = _element(der, at)[2]
    _, at, _ = _element(der, at)
    at = _element(der, at)[2]
    tag, start, end = _element(der, at)
    form = "%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ"
    return datetime.strptime(der[start:end].decode("ascii"), form).replace(tzinfo=UTC)


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """The tag of the element at this position, and where its content starts and ends."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        octets = length & 0x7F
        length, start = int.from_bytes(der[start : start + octets]), start + octets
    return tag, start, start + length
