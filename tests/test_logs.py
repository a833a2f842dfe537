"""The log: JSON lines for machines, text on terminals, and the request_id in every record of a request."""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.logs import open_log, request_id
from alsobought.service.service import Service
from alsobought.web.factory import create_app
from tests.support.process import Run, running, serving
from tests.support.web import VIEW

log = logging.getLogger("alsobought.somewhere")
Opened = Callable[..., io.StringIO]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def opened() -> Iterator[Opened]:
    """`opened("json")`: opens a log in this format and returns its stream."""
    handlers: list[logging.Handler] = []
    ours, level = logging.getLogger("alsobought"), logging.getLogger("alsobought").level

    def open_one(form: str, level: str = "info", stream: io.StringIO | None = None) -> io.StringIO:
        stream = stream or io.StringIO()
        handlers.append(open_log(form, level, stream))
        return stream

    yield open_one
    for handler in handlers:
        logging.getLogger().removeHandler(handler)
    ours.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture(scope="module")
def client(make_shared_shop: Callable[..., Service]) -> FlaskClient:
    return create_app(make_shared_shop(record_requests=False)).test_client()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


# Lines


def test_a_record_is_one_line_of_json(opened: Opened) -> None:
    stream = opened("json")
    log.warning("%s is\nfull: %s\u2028", "the disk", "é\ud800")
    line, end = stream.getvalue().split("\n")
    record = json.loads(line)
    assert end == ""
    assert datetime.now(UTC) - datetime.fromisoformat(record.pop("time")) < timedelta(seconds=10)
    assert record == {"level": "warning", "logger": "alsobought.somewhere", "message": "the disk is\nfull: é?\u2028"}


def test_an_exception_is_text_inside_the_line(opened: Opened) -> None:
    stream = opened("json")
    try:
        raise ValueError("no\ngood \udfff")
    except ValueError:
        log.exception("it broke")
    (record,) = lines(stream)
    assert record["level"] == "error"
    assert record["exception"].startswith("Traceback")
    assert record["exception"].endswith("ValueError: no\ngood ?")


def test_on_a_terminal_a_record_is_one_readable_line_with_control_characters_escaped(opened: Opened) -> None:
    stream = opened("auto", stream=Terminal())
    log.warning("a\nb\x1b[31m\u2028c")
    token = request_id.set("one")
    log.info("d")
    request_id.reset(token)
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING alsobought\.somewhere: a\\nb\\x1b\[31m\\u2028c", first)
    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO alsobought\.somewhere: d \[one\]", second)


@pytest.mark.parametrize(
    ("form", "terminal", "is_json"), [("auto", False, True), ("json", True, True), ("text", False, False)]
)
def test_the_setting_decides_the_format_and_auto_leaves_it_to_the_stream(
    opened: Opened, form: str, terminal: bool, is_json: bool
) -> None:
    stream = opened(form, stream=Terminal() if terminal else io.StringIO())
    log.warning("x")
    assert stream.getvalue().startswith("{") == is_json


@pytest.mark.parametrize(
    ("level", "expected"), [("debug", ["d", "i", "w", "e"]), ("info", ["i", "w", "e"]), ("error", ["e"])]
)
def test_records_below_the_level_are_omitted(opened: Opened, level: str, expected: list[str]) -> None:
    stream = opened("json", level)
    for write in (log.debug, log.info, log.warning, log.error):
        write(write.__name__[0])
    logging.getLogger("other").info("libraries log from warning on")
    assert [line["message"] for line in lines(stream)] == expected


def test_python_warnings_are_logged(opened: Opened) -> None:
    stream = opened("json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (record,) = lines(stream)
    assert (record["level"], record["logger"]) == ("warning", "py.warnings")


# Requests


def test_a_warning_of_the_warehouse_has_the_id_of_its_request(
    client: FlaskClient, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = opened("json")
    assert client.get("/pipes/trending").status_code == 200
    warehouse = client.application.extensions["service"].warehouse
    reader = warehouse._reader()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Code: 999. DB::Exception: it is tired")

    monkeypatch.setattr(reader, "raw_query", fail)
    assert client.get("/pipes/trending?limit=3", headers={"X-Request-Id": "one"}).status_code == 503
    assert [(line["level"], line["logger"], line["request_id"]) for line in lines(stream)] == [
        ("warning", "alsobought.storage.clickhouse", "one"),
        ("warning", "alsobought.web.error_handlers", "one"),
    ]
    assert "it is tired" in lines(stream)[0]["message"]
    assert client.get("/pipes/trending?limit=4").status_code == 200, "on a new connection"


def test_records_after_a_request_do_not_have_its_id(client: FlaskClient, opened: Opened) -> None:
    stream = opened("json")
    assert client.get("/healthz", headers={"X-Request-Id": "one"}).status_code == 200
    log.info("later")
    assert "request_id" not in lines(stream)[0]


def test_at_debug_each_request_is_logged_without_its_parameters(client: FlaskClient, opened: Opened) -> None:
    stream = opened("json", "debug")
    client.get("/pipes/recently_viewed?user_id=ada", headers={"X-Request-Id": "one"})
    client.get("/no%0Awhere?user_id=ada")
    client.post("/events", data=b"")
    records = [line for line in lines(stream) if line["logger"] == "alsobought.access"]
    assert [(line["method"], line["path"], line["status"]) for line in records] == [
        ("GET", "/pipes/recently_viewed", 200),
        ("GET", "/no\nwhere", 404),
        ("POST", "/events", 400),
    ]
    assert records[0]["request_id"] == "one"
    assert 0 < records[0]["ms"] < 10_000
    assert "ada" not in stream.getvalue()


def test_at_info_a_successful_request_is_not_logged(client: FlaskClient, opened: Opened) -> None:
    stream = opened("json")
    assert client.get("/pipes/trending").status_code == 200
    assert stream.getvalue() == ""


# The service


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return running(tmp_path / "data", ALSOBOUGHT_LOG_LEVEL="debug")


def garbage(url: str) -> None:
    """Sends a request that gunicorn itself rejects."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"this is no HTTP\r\n\r\n")
        while connection.recv(1000):
            pass


def test_all_records_of_a_service_are_json_also_those_of_connections(run: Run) -> None:
    with serving(run) as service:
        assert service.ask("/pipes/trending?user_id=ada")[0] == 200
        garbage(service.url)
        service.stop()
        assert service.process.stderr
        records = [json.loads(line) for line in service.process.stderr.read().splitlines()]
    assert {"alsobought.access", "alsobought.web.http.connection"} <= {line["logger"] for line in records}
    assert [line["path"] for line in records if line["logger"] == "alsobought.access"] == ["/pipes/trending"]
    assert all(line["time"] and line["level"] and line["message"] for line in records)


def test_requests_are_in_their_table_after_the_service_has_stopped(run: Run) -> None:
    with serving(run) as service:
        assert service.ask("/events?wait=true", VIEW)[0] == 200
        for number in range(3):
            assert service.ask(f"/pipes/recently_viewed?user_id=u&limit={number + 1}")[0] == 200
        service.stop()
        assert service.process.returncode == 0
    stored = run.python(
        """
        from alsobought.settings import from_environment
        from alsobought.storage.clickhouse import open_warehouse
        warehouse = open_warehouse(from_environment(), create=False)
        for row in warehouse.trusted_rows("select parameters, item_ids from alsobought.requests order by time").data:
            print(*row)
        warehouse.close()
        """
    )
    expected = [f"""{{"user_id":["u"],"limit":["{number}"]}} ['tea']""" for number in (1, 2, 3)]
    assert stored.splitlines() == expected
