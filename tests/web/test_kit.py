"""`/kit/…`: what a shop loads into its pages, and what the npm package has."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alsobought.service.service import Service
from alsobought.web.factory import create_app
from alsobought.web.kit_endpoints import FILES, FOLDER
from tests.support.project import ROOT

SCRIPT = "/kit/alsobought.js"
TERSER = ROOT / "tests" / "clients" / "node_modules" / ".bin" / "terser"


@pytest.fixture(scope="module")
def app(make_shared_shop: Callable[..., Service]) -> Flask:
    return create_app(make_shared_shop(access="keys", cors="https://shop.example"))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_a_page_of_any_origin_loads_the_script_without_a_key(client: FlaskClient) -> None:
    for origin in ("https://shop.example", "https://other.example", ""):
        response = client.get(SCRIPT, headers={"Origin": origin} if origin else {})
        assert response.status_code == 200
        assert response.mimetype == "text/javascript"
        assert response.headers.getlist("Access-Control-Allow-Origin") == ["*"]
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "Access-Control-Allow-Credentials" not in response.headers
    assert [client.get(f"/kit/{name}").status_code for name in ("react.js", "package.json", "alsobought.min.js")] == [
        200,
        404,
        404,
    ]


def test_the_script_is_less_than_5_kb_as_served(client: FlaskClient) -> None:
    response = client.get(SCRIPT, headers={"Accept-Encoding": "br, gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert len(response.data) < 5_000
    assert gzip.decompress(response.data) == client.get(SCRIPT).data == (FOLDER / FILES["alsobought.js"]).read_bytes()


def test_the_script_is_cached_and_revalidated(client: FlaskClient) -> None:
    packed = {"Accept-Encoding": "gzip"}
    first = client.get(SCRIPT, headers=packed)
    assert first.headers["Cache-Control"] == "public, max-age=3600"
    assert first.headers["ETag"] != client.get(SCRIPT).headers["ETag"]
    again = client.get(SCRIPT, headers=packed | {"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Access-Control-Allow-Origin"] == "*"
    current = client.get(f"{SCRIPT}?v={version('alsobought')}")
    assert current.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert client.get(f"{SCRIPT}?v=0.0.1").headers["Cache-Control"] == "public, max-age=3600", "an upgrade ends no page"


def test_the_served_script_is_made_from_its_source() -> None:
    """`make kit` makes it."""
    command: list[str | Path] = [TERSER, FOLDER / "alsobought.js", "--module", "-c", "-m"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert made.stdout.strip() == (FOLDER / "alsobought.min.js").read_text().strip()


def test_the_npm_package_is_complete() -> None:
    package = json.loads((FOLDER / "package.json").read_text())
    assert package["version"] == version("alsobought")
    assert package["license"] == "Apache-2.0"
    assert {path.name for path in FOLDER.iterdir()} == {*package["files"], "package.json", "README.md"}
