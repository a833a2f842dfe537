"""How a ClickHouse server is reached over TLS, and why it cannot be, in words that name a setting."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from alsobought.redaction import shown_address
from alsobought.tls import TlsFiles, certificate_problem, shake_hands

DEFAULT_PORTS = {"http": 8123, "https": 8443}
REFUSED_USER = re.compile(r"Code: (192|194|516)\.")  # unknown, without a password, or with a wrong one
ABOUT_CERTIFICATE = re.compile(r"alert (bad certificate|certificate required|unknown ca|certificate unknown)", re.I)


def server_of(dsn: str) -> tuple[str, str, int]:
    """Scheme, host and port of a server.

    >>> server_of("https://ann:s3cret@shop/db")
    ('https', 'shop', 8443)
    """
    parts = urlsplit(dsn)
    return parts.scheme, parts.hostname or "localhost", parts.port or DEFAULT_PORTS[parts.scheme]


def server_options(dsn: str, tls: TlsFiles) -> dict[str, Any]:
    """The driver's options. It looks for TLS at the port alone, so the scheme is passed. Raises Unusable for a file."""
    scheme, _, port = server_of(dsn)
    options: dict[str, Any] = {"interface": scheme, "port": port}
    if scheme == "https":
        tls.context()
        options |= {"verify": tls.verify}
        if tls.ca and tls.verify:
            options["ca_cert"] = tls.ca
        if tls.certificate:  # with a password, both are shown
            mode = "strict" if urlsplit(dsn).password else "mutual"
            options |= {"client_cert": tls.certificate, "client_cert_key": tls.key or None, "tls_mode": mode}
    return options


def explained(error: Exception, dsn: str, tls: TlsFiles, variable: str) -> tuple[str, str] | None:
    """A message and a hint for the failure to open this server, whose address is in `variable`; None if it is another one."""
    text, address = str(error), shown_address(dsn)
    if REFUSED_USER.search(text):
        return f"{address} refused the user name or the password", f"Are those in {variable} right?"
    if ABOUT_CERTIFICATE.search(text.replace("_", " ")):
        return _about_client_certificate(address, tls)
    return _explained_by_handshake(dsn, tls, variable)


def _explained_by_handshake(dsn: str, tls: TlsFiles, variable: str) -> tuple[str, str] | None:
    try:
        scheme, host, port = server_of(dsn)
    except (KeyError, ValueError):  # not an address
        return None
    address = shown_address(dsn)
    files = tls if scheme == "https" else TlsFiles("ALSOBOUGHT_DSN", verify=False)
    handshake = shake_hands(host, port, files.context())
    if scheme == "http":
        speaks = handshake.outcome == "verified"
        return (f"{address} speaks TLS on this port", f"Write https:// in {variable}") if speaks else None
    if handshake.outcome == "no TLS":
        return f"{address} does not speak TLS on this port", f"Use its port for https in {variable}, often 8443"
    if handshake.outcome == "client certificate":
        return _about_client_certificate(address, tls)
    problem, hint = certificate_problem(handshake, host, variable, "ALSOBOUGHT_DSN_CA")
    return (f"{address} is not trusted: {problem}", hint) if problem else None


def _about_client_certificate(address: str, tls: TlsFiles) -> tuple[str, str]:
    if tls.certificate:
        return f"{address} refused the client certificate", "Is that in ALSOBOUGHT_DSN_CERTIFICATE for this server?"
    return f"{address} asks for a client certificate", "Set ALSOBOUGHT_DSN_CERTIFICATE and ALSOBOUGHT_DSN_KEY"
