"""The log outlives an erasure, so it does not name users."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from alsobought.errors import WarehouseFault
from alsobought.web import user_endpoints


def test_a_failure_is_logged_without_the_user_in_its_path(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise WarehouseFault("the disk is gone")

    monkeypatch.setattr(user_endpoints, "service", fail)
    assert client.get("/users/ada-lovelace").status_code == 503
    assert "GET /users/…: the disk is gone" in caplog.text
    assert "ada-lovelace" not in caplog.text
