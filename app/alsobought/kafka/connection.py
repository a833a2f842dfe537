"""How Kafka is reached: the configuration that all of our clients share, and its errors in words that name a setting."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from alsobought.errors import Unusable, WarehouseFault
from alsobought.redaction import redacted
from alsobought.settings import Settings
from alsobought.tls import Handshake, TlsFiles, certificate_problem, shake_hands

DEFAULT_PORT = 9092
NOT_AUTHORIZED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
ABOUT_CERTIFICATE = re.compile(r"alert (bad certificate|certificate|unknown ca|handshake failure|access denied)", re.I)


class KafkaUnavailable(WarehouseFault):
    """Kafka does not answer, or returned an error."""


def uses_tls(settings: Settings) -> bool:
    return settings.kafka_protocol in ("ssl", "sasl_ssl")


def uses_sasl(settings: Settings) -> bool:
    return settings.kafka_protocol.startswith("sasl_")


def tls_files(settings: Settings) -> TlsFiles:
    return TlsFiles(
        "ALSOBOUGHT_KAFKA",
        settings.kafka_ca,
        settings.kafka_certificate,
        settings.kafka_key,
        settings.kafka_key_password,
    )


def token_files(settings: Settings) -> TlsFiles:
    return TlsFiles("ALSOBOUGHT_KAFKA_TOKEN", settings.kafka_token_ca)


def client_configuration(settings: Settings) -> dict[str, Any]:
    """What librdkafka is given by every producer, consumer and admin client. Raises Unusable, with the setting."""
    configuration: dict[str, Any] = {
        "bootstrap.servers": settings.kafka,
        "security.protocol": settings.kafka_protocol,
        "log_level": 0,
    }
    if uses_tls(settings):
        tls_files(settings).context()
        configuration |= _given(
            {
                "ssl.ca.location": settings.kafka_ca,
                "ssl.certificate.location": settings.kafka_certificate,
                "ssl.key.location": settings.kafka_key or settings.kafka_certificate,
                "ssl.key.password": settings.kafka_key_password,
            }
        )
    elif settings.kafka_ca or settings.kafka_certificate:
        name = "CA" if settings.kafka_ca else "CERTIFICATE"
        raise Unusable(
            f"ALSOBOUGHT_KAFKA_{name} is set, but ALSOBOUGHT_KAFKA_PROTOCOL is {settings.kafka_protocol}: without TLS",
            "Set ALSOBOUGHT_KAFKA_PROTOCOL to ssl or sasl_ssl",
        )
    if uses_sasl(settings):
        configuration |= _sasl(settings)
    elif settings.kafka_mechanism or settings.kafka_user or settings.kafka_password:
        raise Unusable(
            f"a user of Kafka is set, but ALSOBOUGHT_KAFKA_PROTOCOL is {settings.kafka_protocol}: without SASL",
            "Set ALSOBOUGHT_KAFKA_PROTOCOL to sasl_ssl",
        )
    return configuration


def _sasl(settings: Settings) -> dict[str, str]:
    required = {
        "MECHANISM": settings.kafka_mechanism,
        "USER": settings.kafka_user,
        "PASSWORD": settings.kafka_password,
    }
    if settings.kafka_mechanism == "OAUTHBEARER":
        required["TOKEN_URL"] = settings.kafka_token_url
    if missing := next((name for name, value in required.items() if not value), ""):
        needing = f"ALSOBOUGHT_KAFKA_PROTOCOL={settings.kafka_protocol}"
        if missing == "TOKEN_URL":
            needing = "ALSOBOUGHT_KAFKA_MECHANISM=OAUTHBEARER"
        raise Unusable(f"{needing} needs ALSOBOUGHT_KAFKA_{missing}", "docs/how-to/kafka.md has an example")
    if settings.kafka_mechanism != "OAUTHBEARER":
        return {
            "sasl.mechanism": settings.kafka_mechanism,
            "sasl.username": settings.kafka_user,
            "sasl.password": settings.kafka_password,
        }
    token_files(settings).context()
    return _given(
        {
            "https.ca.location": settings.kafka_token_ca or "probe",  # else librdkafka takes the path of Red Hat
            "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.id": settings.kafka_user,
            "sasl.oauthbearer.client.secret": settings.kafka_password,
            "sasl.oauthbearer.token.endpoint.url": settings.kafka_token_url,
            "sasl.oauthbearer.scope": settings.kafka_token_scope,
        }
    )


def _given(options: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if value}


@contextmanager
def admin_client(settings: Settings) -> Iterator[Any]:
    """An admin client. Raises KafkaUnavailable with the reason why Kafka cannot be reached."""
    reasons: list[KafkaError] = []
    with kafka_errors(settings, reasons):
        configuration: dict[str, Any] = {**client_configuration(settings), "error_cb": reasons.append}
        client = AdminClient(configuration)
        try:
            yield client
        except KafkaException:
            client.poll(0)  # the reasons arrive
            raise
        except TimeoutError as error:
            client.poll(0)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error


@contextmanager
def kafka_errors(settings: Settings, reasons: Sequence[KafkaError] = ()) -> Iterator[None]:
    """Convert errors of Kafka's client to KafkaUnavailable. `reasons` are errors of connections, which tell more."""
    try:
        yield
    except KafkaException as error:
        raise unavailable(settings, [*reasons, error.args[0]]) from error


def unavailable(settings: Settings, errors: Sequence[KafkaError]) -> KafkaUnavailable:
    """The error that the first of these that has a reason stands for."""
    for error in errors:
        if explained := _explained(settings, error):
            return KafkaUnavailable(*explained)
    last, servers = errors[-1], settings.kafka
    if last.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return KafkaUnavailable(f"topic missing in Kafka at {servers}", "Run `alsobought ingest` once to create it")
    if explained := _explained_by_handshake(settings):
        return KafkaUnavailable(*explained)
    return KafkaUnavailable(
        f"Kafka at {servers} does not answer: {redacted(last.str())}", "Is ALSOBOUGHT_KAFKA right, and is it running?"
    )


def _explained(settings: Settings, error: KafkaError) -> tuple[str, str] | None:
    """A message and a hint, for an error that Kafka itself gives a reason for."""
    servers, text = settings.kafka, redacted(error.str())
    if error.code() in NOT_AUTHORIZED:
        who = f"user {settings.kafka_user}" if settings.kafka_user else "this client"
        return f"Kafka at {servers} does not allow {who} this: {text}", "docs/how-to/kafka.md lists the rights it needs"
    if error.code() == KafkaError._AUTHENTICATION:
        return _explained_authentication(settings, text)
    if ABOUT_CERTIFICATE.search(text):
        certificate = "ALSOBOUGHT_KAFKA_CERTIFICATE and ALSOBOUGHT_KAFKA_KEY"
        if settings.kafka_certificate:
            return f"Kafka at {servers} refused the client certificate", f"Is it for this Kafka? {certificate} name it"
        return f"Kafka at {servers} asks for a client certificate", f"Set {certificate}"
    return None


def _explained_authentication(settings: Settings, text: str) -> tuple[str, str]:
    servers = settings.kafka
    if "OAUTHBEARER token" in text:
        host, reason = urlsplit(settings.kafka_token_url).netloc, text.partition("token: ")[2] or text
        hint = "Are ALSOBOUGHT_KAFKA_TOKEN_URL, ALSOBOUGHT_KAFKA_USER and ALSOBOUGHT_KAFKA_PASSWORD right?"
        if "certificate" in reason:
            hint = "Set ALSOBOUGHT_KAFKA_TOKEN_CA to the file with the CA certificate of that server"
        return f"no token for Kafka from {host}: {reason}", hint
    if supported := re.search(r"supported mechanisms: *([\w,-]*)", text):
        if not supported[1]:
            return (
                f"Kafka at {servers} takes no password on this port",
                "Set ALSOBOUGHT_KAFKA_PROTOCOL to plaintext or ssl, or use another port in ALSOBOUGHT_KAFKA",
            )
        return (
            f"Kafka at {servers} does not accept the mechanism {settings.kafka_mechanism}",
            f"Set ALSOBOUGHT_KAFKA_MECHANISM to one of {supported[1].replace(',', ', ')}",
        )
    return (
        f"Kafka at {servers} refused the user name or the password",
        "Are ALSOBOUGHT_KAFKA_USER and ALSOBOUGHT_KAFKA_PASSWORD right?",
    )


def _explained_by_handshake(settings: Settings) -> tuple[str, str] | None:
    """A handshake with the first server that answers shows whether it speaks TLS, and what is wrong with its certificate."""
    files = tls_files(settings) if uses_tls(settings) else TlsFiles("ALSOBOUGHT_KAFKA", verify=False)
    context, explain = files.context(), _explained_with_tls if uses_tls(settings) else _explained_without_tls
    for host, port in bootstrap_servers(settings):
        handshake = shake_hands(host, port, context)
        if handshake.outcome != "unreachable":
            return explain(settings, handshake, host, port)
    return None


def _explained_without_tls(settings: Settings, handshake: Handshake, host: str, port: int) -> tuple[str, str] | None:
    if handshake.outcome != "verified":
        return None
    secured = "sasl_ssl" if uses_sasl(settings) else "ssl or sasl_ssl"
    return f"Kafka at {host}:{port} speaks TLS on this port", f"Set ALSOBOUGHT_KAFKA_PROTOCOL to {secured}"


def _explained_with_tls(settings: Settings, handshake: Handshake, host: str, port: int) -> tuple[str, str] | None:
    server = f"Kafka at {host}:{port}"
    if handshake.outcome == "no TLS":
        other = "sasl_plaintext" if uses_sasl(settings) else "plaintext"
        hint = f"Use its TLS port in ALSOBOUGHT_KAFKA, or set ALSOBOUGHT_KAFKA_PROTOCOL to {other}"
        return f"{server} does not speak TLS on this port", hint
    problem, hint = certificate_problem(handshake, host, "ALSOBOUGHT_KAFKA", "ALSOBOUGHT_KAFKA_CA")
    if problem:
        return f"{server} is not trusted: {problem}", hint
    if not uses_sasl(settings):
        hint = "If it asks for a password, set ALSOBOUGHT_KAFKA_PROTOCOL to sasl_ssl"
        return f"{server} ended the connection", hint
    return None


def bootstrap_servers(settings: Settings) -> Iterator[tuple[str, int]]:
    """Host and port of each bootstrap server; those of the form of librdkafka's, `ssl://host:port`, too."""
    for text in filter(None, (part.strip() for part in settings.kafka.split(","))):
        try:
            parts = urlsplit(text if "://" in text else f"//{text}")
            yield parts.hostname or "", parts.port or DEFAULT_PORT
        except ValueError:
            continue
