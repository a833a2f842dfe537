"""A Kafka broker with TLS and SASL, and the settings of a client that is let in."""

from __future__ import annotations

import base64
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time

from tests.support.brokers import Broker, apache
from tests.support.certificates import Authority, Certificate
from tests.support.process import free_port

USER, STRANGER, PASSWORD, TOKEN_SECRET = "ann", "bob", "Zq9 s3cret/%41!", "the-secret-of-the-client"
PROPERTIES = """
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL,NAMED:SSL
inter.broker.listener.name=PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{user};User:CN=client
listener.name.mutual.ssl.client.auth=required
listener.name.named.ssl.keystore.location={named_keystore}
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{user}="{password}" user_{stranger}="{password}";
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
unsecuredLoginStringClaim_sub="unused";
"""


@dataclass
class SecureBroker:
    """Ports by listener; the broker itself speaks plaintext on the port that the tests' own clients use."""

    broker: Broker
    authority: Authority
    client: Certificate
    ports: dict[str, int]
    others: Authority = field(repr=False)

    def settings(self, listener: str = "SASL", **changed: str) -> dict[str, str]:
        """Those of a client that is let in, with some changed."""
        right = {"kafka": f"127.0.0.1:{self.ports[listener]}", "kafka_ca": str(self.authority.ca)}
        if listener == "SASL":
            right |= {"kafka_protocol": "sasl_ssl", "kafka_mechanism": "SCRAM-SHA-512"}
            right |= {"kafka_user": USER, "kafka_password": PASSWORD}
        elif listener != "PLAINTEXT":
            right |= {"kafka_protocol": "ssl"}
        if listener == "MUTUAL":
            right |= {"kafka_certificate": str(self.client.certificate), "kafka_key": str(self.client.key)}
        return right | changed


@contextmanager
def secure_broker() -> Iterator[SecureBroker]:
    """Raises NoBroker."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority, others = Authority(folder / "ca"), Authority(folder / "others")
        server, named = authority.issue("server", "IP:127.0.0.1"), authority.issue("named", "DNS:kafka.example")
        ports = {listener: free_port() for listener in ("SASL", "MUTUAL", "NAMED")}
        properties = PROPERTIES.format(
            keystore=server.both,
            named_keystore=named.both,
            ca=authority.ca,
            user=USER,
            stranger=STRANGER,
            password=PASSWORD,
        )
        listeners = "".join(f",{listener}://127.0.0.1:{port}" for listener, port in ports.items())
        plain = free_port()
        scram = f'SCRAM-SHA-512=[name={USER},password="{PASSWORD}"]'
        broker = apache(folder, plain, listeners=listeners, properties=properties, scram=scram)
        try:
            broker.start()
            yield SecureBroker(broker, authority, authority.issue("client"), ports | {"PLAINTEXT": plain}, others)
        finally:
            broker.kill()


@contextmanager
def token_server() -> Iterator[str]:
    """The address of an issuer of tokens, unsigned ones that a broker without an issuer's keys accepts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            allowed = base64.b64encode(f"{USER}:{TOKEN_SECRET}".encode()).decode()
            self.rfile.read(int(self.headers["Content-Length"]))
            right = self.headers["Authorization"] == f"Basic {allowed}"
            body = json.dumps({"access_token": _token(), "expires_in": 3600} if right else {"error": "invalid_client"})
            self.send_response(200 if right else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token"
    finally:
        server.shutdown()
        server.server_close()


def _token() -> str:
    now = time()
    parts = {"alg": "none", "typ": "JWT"}, {"sub": USER, "iat": now, "exp": now + 3600}
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."
