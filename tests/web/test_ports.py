"""The port of administrators: what the public one answers for, and that it cannot be talked into more."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from flask import Flask

from alsobought.access.gate import Gate
from alsobought.errors import Unusable
from alsobought.service.service import Service
from alsobought.settings import Settings, read_settings
from alsobought.web.access import NEEDS
from alsobought.web.factory import create_app
from alsobought.web.ports import is_of_administrators
from alsobought.web.server import require_keys, require_restricted_editing
from tests.support.process import Run, free_port, serving

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens
PUBLIC = {
    *("service.healthz", "service.readyz", "service.openapi", "service.docs", "pipes.list_pipes", "pipes.answer_pipe"),
    "kit.get_file",
    *("surfaces.recommend", "surfaces.recommend_on"),
    *(
        "tokens.post_tokens",
        "intake.post_events",
        "intake.merge_users",
        "intake.unmerge_users",
        "webhooks.post_webhook",
    ),
    *(
        "items.post_items",
        "items.get_item",
        "items.delete_item",
        "users.post_users",
        "users.get_user",
        "users.delete_user",
    ),
}


@pytest.fixture(scope="module")
def app(make_shared_shop: Callable[..., Service]) -> Flask:
    return create_app(make_shared_shop(admin_port=8081, trusted_proxies="private"), edit=True)


@pytest.fixture(scope="module")
def keyed(app: Flask) -> Flask:
    """The same where keys are needed, and answers have headers that say so."""
    shop = app.extensions["service"]
    settings = msgspec.structs.replace(shop.settings, access="keys")
    return create_app(shop, edit=True, gate=Gate(settings, shop.warehouse, loopback=True))


def test_each_endpoint_is_on_the_port_that_the_table_says() -> None:
    assert {endpoint for endpoint in NEEDS if not is_of_administrators(endpoint)} == PUBLIC


HIDDEN = [
    ("GET", "/"),
    ("GET", "/metrics"),
    ("GET", "/audit"),
    ("GET", "/workbench"),
    ("GET", "/workbench/pipes/popular"),
    ("POST", "/workbench/session"),
    ("DELETE", "/workbench/session"),
    ("POST", "/workbench/pipes/popular/save"),
    ("GET", "/static/page.js"),
    ("POST", "/metrics"),
    ("OPTIONS", "/audit"),
    ("HEAD", "/metrics"),
]


@pytest.mark.parametrize(("method", "path"), HIDDEN)
def test_the_public_port_answers_as_for_a_path_that_does_not_exist(keyed: Flask, method: str, path: str) -> None:
    client = keyed.test_client()
    hidden, missing = (
        client.open(path, method=method, buffered=True),
        client.open("/nothing", method=method, buffered=True),
    )
    assert (hidden.status_code, missing.status_code) == (404, 404)
    names = {name for name, _ in missing.headers}
    assert {name for name, _ in hidden.headers} == names
    on_admin_port = client.open(path, method=method, environ_overrides={"alsobought.port": 8081}, buffered=True)
    assert on_admin_port.status_code != 404


def test_no_header_leads_to_the_other_port(app: Flask) -> None:
    forged = {
        "X-Forwarded-Host": "localhost:8081",
        "X-Forwarded-Port": "8081",
        "Host": "localhost:8081",
        "Port": "8081",
    }
    assert app.test_client().get("/metrics", headers=forged).status_code == 404
    assert app.test_client().get("/static/docs.css", buffered=True).status_code == 200, "the API reference is public"


def test_two_ports_are_two() -> None:
    settings, faults = read_settings({"ALSOBOUGHT_ADMIN_PORT": "8080"})
    assert (settings.admin_port, len(faults)) == (0, 1)
    assert "ALSOBOUGHT_ADMIN_PORT=8080 is also ALSOBOUGHT_PORT" in faults[0]


def test_a_port_of_administrators_beyond_this_machine_asks_for_keys(app: Flask) -> None:
    gate = app.extensions["gate"]
    beyond = Settings(admin_port=8081, admin_host=EVERYWHERE)
    with pytest.raises(Unusable, match=r"others can reach 0\.0\.0\.0, and there is no key"):
        require_keys(beyond, gate)
    with pytest.raises(Unusable, match="ALSOBOUGHT_ACCESS=open would let whoever reaches port 8081"):
        require_keys(Settings(admin_port=8081, admin_host=EVERYWHERE, access="open"), gate)
    require_keys(Settings(admin_port=8081), gate)


def test_on_a_public_host_without_keys_the_page_is_for_this_machine_alone(make_shop: Callable[..., Service]) -> None:
    client = create_app(make_shop(host=EVERYWHERE, access="open", admin_port=8081), edit=True).test_client()
    local, foreign = {"alsobought.port": 8081}, {"alsobought.port": 8081, "REMOTE_ADDR": "203.0.113.9"}
    opened = [client.get("/workbench", environ_overrides=who).get_json()["open"] for who in (local, foreign)]
    assert opened == [True, False]
    require_restricted_editing(Settings(host=EVERYWHERE, access="open", admin_port=8081))


def status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_real_sockets_tell_the_ports_apart(run_migrated: Run) -> None:
    admin_port = free_port()
    ports = {"ALSOBOUGHT_ADMIN_PORT": str(admin_port)}
    with serving(replace(run_migrated, settings=run_migrated.settings | ports)) as service:
        public = int(service.url.rpartition(":")[2])
        both = ("/healthz", "/readyz", "/pipes/popular")
        assert [status(port, path) for port in (public, admin_port) for path in both] == [200] * 6
        hidden = ("/", "/metrics", "/workbench", "/audit", "/static/page.js")
        assert [status(public, path) for path in hidden] == [404] * 5
        assert [status(admin_port, path) for path in hidden] == [200] * 5
        with socket.create_connection(("127.0.0.1", public), timeout=20) as connection:
            request = f"GET http://127.0.0.1:{admin_port}/metrics HTTP/1.1\r\nHost: 127.0.0.1:{admin_port}\r\n"
            connection.sendall(f"{request}Connection: close\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 404")
        refused = run_migrated("serve", ALSOBOUGHT_PORT=str(free_port()), **ports)
        assert (refused.status, f"port {admin_port} on 127.0.0.1 cannot be used" in refused.err) == (1, True)
