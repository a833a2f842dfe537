"""TLS and SASL to a real broker: right settings are let in, and each wrong one gets a message that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from alsobought.errors import AlsoboughtError, Unusable
from alsobought.kafka import client
from alsobought.kafka.client import describe_topics, offset_bounds
from alsobought.kafka.connection import bootstrap_servers, client_configuration
from alsobought.kafka.consumer import TopicConsumer
from alsobought.kafka.ingest_status import status
from alsobought.kafka.producer import LogProducer
from alsobought.service.service import Service
from alsobought.settings import Settings
from tests.support.kafka import until
from tests.support.secure_broker import (
    PASSWORD,
    STRANGER,
    TOKEN_SECRET,
    USER,
    SecureBroker,
    secure_broker,
    token_server,
)
from tests.support.tls_proxy import tls_proxy

EVENT = b'{"event_type": "purchase", "user_id": "ada", "item_id": "tea"}'
MISSING = "/no/such/file"


@pytest.fixture(scope="module")
def secure() -> Iterator[SecureBroker]:
    with secure_broker() as broker:
        yield broker


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REQUEST_SECONDS", 1.5)


def problem(secure: SecureBroker, listener: str = "SASL", **changed: str) -> str:
    with pytest.raises(AlsoboughtError) as raised:
        describe_topics(Settings(**secure.settings(listener, **changed)))  # type: ignore[arg-type]
    assert PASSWORD not in str(raised.value)
    return str(raised.value)


@pytest.mark.journey
def test_a_client_with_a_password_appends_and_consumes_over_tls(
    secure: SecureBroker, make_shop: Callable[..., Service]
) -> None:
    shop = make_shop(**secure.settings(), kafka_group="secure")
    topics = describe_topics(shop.settings)
    producer = LogProducer(shop.settings)
    producer.append("events", [("ada", EVENT)])
    producer.close()
    assert max(offset_bounds(shop.settings, [("events", n) for n in range(6)]).values()) == (0, 1)
    consumer = TopicConsumer(shop.writer, shop.settings)
    consumer.start()
    until(lambda: consumer.totals.stored == 1)
    consumer.stop()
    assert set(topics) == {"events", "items", "users"}


@pytest.mark.journey
def test_every_mechanism_and_a_client_certificate_are_let_in(secure: SecureBroker) -> None:
    issuer = secure.others.issue("issuer", "IP:127.0.0.1")
    with token_server() as url, tls_proxy(urlsplit(url).port or 0, issuer) as port:
        token = {"kafka_mechanism": "OAUTHBEARER", "kafka_password": TOKEN_SECRET, "kafka_token_url": url}
        encrypted = token | {
            "kafka_token_url": f"https://127.0.0.1:{port}/token",
            "kafka_token_ca": str(secure.others.ca),
        }
        for settings in (
            secure.settings(kafka_mechanism="PLAIN"),
            secure.settings(**token),
            secure.settings(**encrypted),
            secure.settings("MUTUAL"),
            secure.settings("MUTUAL", kafka_certificate=str(secure.client.both), kafka_key=""),
        ):
            assert describe_topics(Settings(**settings))  # type: ignore[arg-type]
        wrong = problem(secure, **token | {"kafka_password": "nope"})
        assert "invalid_client" in wrong
        assert "ALSOBOUGHT_KAFKA_TOKEN_URL" in wrong
        assert "Set ALSOBOUGHT_KAFKA_TOKEN_CA" in problem(
            secure, **encrypted | {"kafka_token_ca": str(secure.authority.ca)}
        )


@pytest.mark.journey
@pytest.mark.parametrize(
    ("listener", "changed", "expected"),
    [
        ("SASL", {"kafka_password": "nope"}, "refused the user name or the password. Are ALSOBOUGHT_KAFKA_USER and"),
        ("SASL", {"kafka_user": "nope"}, "refused the user name or the password. Are ALSOBOUGHT_KAFKA_USER and"),
        ("SASL", {"kafka_mechanism": "SCRAM-SHA-256"}, "Set ALSOBOUGHT_KAFKA_MECHANISM to one of PLAIN, SCRAM-SHA-512"),
        ("SASL", {"kafka_ca": "others"}, "not signed by a known authority: .*Set ALSOBOUGHT_KAFKA_CA"),
        ("SASL", {"kafka_ca": ""}, "not signed by a known authority: .*Set ALSOBOUGHT_KAFKA_CA"),
        ("NAMED", {}, r"not for the name 127\.0\.0\.1\. Use a name of the certificate in ALSOBOUGHT_KAFKA$"),
        ("SASL", {"kafka_protocol": "sasl_plaintext", "kafka_ca": ""}, "Set ALSOBOUGHT_KAFKA_PROTOCOL to sasl_ssl"),
        ("PLAINTEXT", {"kafka_protocol": "ssl"}, "does not speak TLS on this port. .*ALSOBOUGHT_KAFKA_PROTOCOL"),
        (
            "MUTUAL",
            {"kafka_certificate": "", "kafka_key": ""},
            "asks for a client certificate. Set ALSOBOUGHT_KAFKA_CERT",
        ),
        ("MUTUAL", {"kafka_certificate": "others", "kafka_key": ""}, "refused the client certificate"),
        (
            "SASL",
            {"kafka_user": STRANGER, "kafka_mechanism": "PLAIN"},
            "does not allow user bob this: .*lists the rights",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_setting(
    secure: SecureBroker, listener: str, changed: dict[str, str], expected: str
) -> None:
    files = {"kafka_ca": str(secure.others.ca), "kafka_certificate": str(secure.others.issue("stranger").both)}
    changed = {name: files[name] if value == "others" else value for name, value in changed.items()}
    with pytest.raises(AlsoboughtError, match=expected):
        raise AlsoboughtError(problem(secure, listener, **changed))


@pytest.mark.journey
def test_plaintext_to_a_port_with_tls_and_tls_alone_to_one_with_a_password(secure: SecureBroker) -> None:
    address = secure.settings()["kafka"]
    for settings, expected in (
        (Settings(kafka=address), "speaks TLS on this port. Set ALSOBOUGHT_KAFKA_PROTOCOL to ssl or sasl_ssl"),
        (
            Settings(kafka=address, kafka_protocol="ssl", kafka_ca=str(secure.authority.ca)),
            "ended the connection. If it asks for a password, set ALSOBOUGHT_KAFKA_PROTOCOL to sasl_ssl",
        ),
    ):
        with pytest.raises(AlsoboughtError, match=expected):
            describe_topics(settings)


@pytest.mark.journey
def test_the_status_names_the_reason_too(secure: SecureBroker, make_shop: Callable[..., Service]) -> None:
    shop = make_shop(**secure.settings(kafka_password="nope"))  # noqa: S106
    assert "ALSOBOUGHT_KAFKA_PASSWORD right" in status(shop.warehouse, shop.settings).without_kafka


SASL = {"kafka_protocol": "sasl_ssl", "kafka_mechanism": "PLAIN", "kafka_user": USER, "kafka_password": PASSWORD}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({**SASL, "kafka_mechanism": ""}, "ALSOBOUGHT_KAFKA_PROTOCOL=sasl_ssl needs ALSOBOUGHT_KAFKA_MECHANISM"),
        ({**SASL, "kafka_password": ""}, "needs ALSOBOUGHT_KAFKA_PASSWORD"),
        ({**SASL, "kafka_mechanism": "OAUTHBEARER"}, "OAUTHBEARER needs ALSOBOUGHT_KAFKA_TOKEN_URL"),
        ({"kafka_user": USER}, "ALSOBOUGHT_KAFKA_PROTOCOL is plaintext: without SASL"),
        ({"kafka_ca": MISSING}, "ALSOBOUGHT_KAFKA_CA is set, but ALSOBOUGHT_KAFKA_PROTOCOL is plaintext"),
        ({**SASL, "kafka_ca": MISSING}, f"ALSOBOUGHT_KAFKA_CA: {MISSING} cannot be read: no such file"),
        ({**SASL, "kafka_ca": __file__}, "ALSOBOUGHT_KAFKA_CA: .* has no certificate in PEM format"),
        ({**SASL, "kafka_certificate": __file__}, "ALSOBOUGHT_KAFKA_CERTIFICATE: .* has no certificate in PEM"),
        ({**SASL, "kafka_key": __file__}, "ALSOBOUGHT_KAFKA_KEY is set without ALSOBOUGHT_KAFKA_CERTIFICATE"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_kafka_is_asked(
    settings: dict[str, str], expected: str
) -> None:
    with pytest.raises(Unusable, match=expected):
        client_configuration(Settings(kafka="kafka:9092", **settings))  # type: ignore[arg-type]


def test_bootstrap_servers_are_read_as_the_client_does() -> None:
    servers = Settings(kafka="a:9093, ssl://b:1 ,c,[::1]:9094")
    assert list(bootstrap_servers(servers)) == [("a", 9093), ("b", 1), ("c", 9092), ("::1", 9094)]
