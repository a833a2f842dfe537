"""Names that are not ours get no answer, whatever they ask; what proxies forward is believed of trusted ones only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import request
from flask.testing import FlaskClient

from alsobought.errors import Unusable
from alsobought.service.service import Service
from alsobought.settings import from_environment
from alsobought.web.factory import create_app
from tests.support.web import VIEW, error_of

FORWARDED = {
    "X-Forwarded-For": "198.51.100.1, 203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
    "X-Forwarded-Prefix": "/recommend",
}


@pytest.fixture(scope="module")
def shop(make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop(allowed_hosts="Shop.example, *.cdn.example", trusted_proxies="203.0.113.7,10.0.0.0/8")


@pytest.fixture
def client(shop: Service) -> FlaskClient:
    return create_app(shop).test_client()


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8080", "127.0.0.1:9", "[::1]:8080", "192.0.2.4", "shop.example", "a.cdn.example:80"],
)
def test_it_answers_under_its_own_names(client: FlaskClient, host: str) -> None:
    assert client.get("/pipes/popular", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "shop.example.evil", "cdn.example", "::1"],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/pipes/popular"),
        ("GET", "/pipes"),
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/metrics"),
        ("GET", "/healthz"),
        ("GET", "/no/such/path"),
        ("GET", "/static/page.js"),
        ("OPTIONS", "/events"),
        ("POST", "/events"),
        ("POST", "/users/merge"),
    ],
)
def test_it_answers_under_no_other_name(client: FlaskClient, method: str, path: str, host: str) -> None:
    got = client.open(path, method=method, json=VIEW if method == "POST" else None, headers={"Host": host})
    assert (got.status_code, error_of(got)["code"]) == (421, "wrong_host")
    assert "ALSOBOUGHT_ALLOWED_HOSTS" in error_of(got)["hint"]


def test_every_name_is_allowed_if_the_setting_says_so(make_shop: Callable[..., Service]) -> None:
    client = create_app(make_shop(allowed_hosts="*")).test_client()
    assert client.get("/pipes/popular", headers={"Host": "any.example"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/pipes//popular", "//evil.example/pipes", "/pipes/popular/", "/docs/", "/./pipes", "/workbench/", "/pipes/"],
)
def test_nothing_redirects(client: FlaskClient, path: str) -> None:
    got = client.get("/", headers={"Host": "localhost"}, environ_overrides={"PATH_INFO": path})
    assert (got.status_code, "Location" in got.headers) == (404, False)


def seen(shop: Service, peer: str, **headers: str) -> dict[str, Any]:
    """What the application learns of a request that comes from this address with these headers."""
    app = create_app(shop)
    app.add_url_rule("/seen", "seen", lambda: {"client": request.remote_addr, "url": request.root_url})
    got: dict[str, Any] = (
        app.test_client()
        .get("/seen", headers={"Host": "localhost", **headers}, environ_overrides={"REMOTE_ADDR": peer})
        .get_json()
    )
    return got


@pytest.mark.parametrize("proxy", ["203.0.113.7", "10.1.2.3", "::ffff:10.1.2.3"])
def test_a_trusted_proxy_is_believed(shop: Service, proxy: str) -> None:
    assert seen(shop, proxy, **FORWARDED) == {"client": "203.0.113.9", "url": "https://shop.example/recommend/"}


@pytest.mark.parametrize("peer", ["203.0.113.8", "127.0.0.1", ""])
def test_nobody_else_is_believed(shop: Service, peer: str) -> None:
    assert seen(shop, peer, **FORWARDED) == {"client": peer, "url": "http://localhost/"}


def test_what_a_trusted_proxy_calls_the_host_must_be_ours(shop: Service) -> None:
    client = create_app(shop).test_client()
    forwarded = FORWARDED | {"X-Forwarded-Host": "evil.example"}
    got = client.get(
        "/pipes", headers={"Host": "localhost", **forwarded}, environ_overrides={"REMOTE_ADDR": "10.0.0.1"}
    )
    assert got.status_code == 421


def test_a_proxy_that_is_no_address_is_a_fault() -> None:
    with pytest.raises(Unusable, match=r"ALSOBOUGHT_TRUSTED_PROXIES: 'nginx' is no address or network"):
        from_environment({"ALSOBOUGHT_TRUSTED_PROXIES": "127.0.0.1, nginx"})
