"""No message, log line or traceback shows a password, however its address is mangled."""

from __future__ import annotations

import io
import logging
import sys
import threading
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alsobought import redaction
from alsobought.errors import AlsoboughtError, Unusable, WarehouseFault
from alsobought.logs import JsonLines, TextLines
from alsobought.redaction import redacted
from alsobought.settings import Settings, from_environment, read_settings
from alsobought.storage.clickhouse import ClickHouseWarehouse, open_warehouse
from alsobought.storage.driver_errors import translated_errors
from alsobought.storage.engine_settings import Limits

PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=6, max_size=24).map("Zq9".__add__)
"""Of which no message has a part by chance."""
MANGLED = {
    "right": "http://ann:{}@127.0.0.1:1",
    "encrypted": "https://ann:{}@127.0.0.1:1/shop",
    "only a user": "http://{}@127.0.0.1:1",
    "no user": "http://:{}@127.0.0.1:1",
    "no host": "http://ann:{}@",
    "no host and no @": "http://ann:{}",
    "no scheme": "ann:{}@shop:8123",
    "no scheme and no slashes": "http:ann:{}@shop:8123",
    "one slash": "http:/ann:{}@shop:8123",
    "no colon": "http//ann:{}@shop:8123",
    "another scheme": "clickhouse://ann:{}@shop:9000",
    "the scheme of the embedded engine": "chdb://ann:{}@shop",
    "an option": "http://shop:8123/?user=ann&password={}",
    "an option of the embedded engine": "chdb:///data?password={}",
    "an option without a scheme": "shop:8123?password={}",
    "twice": "http://ann:{0}@shop:8123@ann:{0}@shop",
    "a space": "http://ann: {} @shop:8123",
    "quotes": "'http://ann:{}@shop:8123'",
    "a port in front": "http://8123:{}@shop",
    "a port that is none": "http://ann:{}@shop:port",
    "the password alone": "{}",
    "after the host": "http://shop:8123@ann:{}",
    "as a fragment": "http://ann@shop:8123#{}",
}
VARIABLES = ("ALSOBOUGHT_DSN", "ALSOBOUGHT_READER_DSN", "ALSOBOUGHT_KAFKA", "ALSOBOUGHT_WEBHOOK_SECRET")


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_secrets", set())


def forms(password: str) -> set[str]:
    """What must not be shown: the password as it is, percent-encoded, and as Python quotes it."""
    return {password, quote(password, safe=""), repr(password)[1:-1]}


def shown(text: str, password: str) -> list[str]:
    return [form for form in forms(password) if form in text]


@given(PASSWORDS, st.sampled_from(list(MANGLED)), st.sampled_from(VARIABLES), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_fault_of_a_setting_shows_no_password(password: str, form: str, variable: str, encoded: bool) -> None:
    value = MANGLED[form].format(quote(password, safe="") if encoded else password)
    read, faults = read_settings({variable: value})
    assert shown(f"{faults} {read!r}", password) == []
    try:
        from_environment({variable: value})
    except Unusable as error:
        assert shown(str(error), password) == []


@given(PASSWORDS, st.sampled_from(list(MANGLED)), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_warehouse_that_cannot_be_opened_shows_no_password(password: str, form: str, encoded: bool) -> None:
    """Also one that is opened with an address that `read_settings` would refuse."""
    address = MANGLED[form].format(quote(password, safe="") if encoded else password)
    read, _ = read_settings({"ALSOBOUGHT_DSN": address})
    if read.dsn.startswith("http"):
        with pytest.raises(AlsoboughtError) as raised:
            open_warehouse(read)
        assert shown(str(raised.value), password) == []
    if address.startswith(("http://", "https://")) and "shop" not in address:
        with pytest.raises(WarehouseFault) as fault:
            ClickHouseWarehouse(address, "alsobought", Limits(), 0)
        assert shown(str(fault.value), password) == []


@given(PASSWORDS)
@settings(max_examples=50, deadline=None)
def test_the_exception_of_a_driver_is_shown_without_the_password(password: str) -> None:
    address = f"http://ann:{quote(password, safe='')}@shop:8123"
    read_settings({"ALSOBOUGHT_DSN": address})
    stream = io.StringIO()
    log = logging.Logger("driver")
    for formatter in (JsonLines(), TextLines()):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        log.addHandler(handler)
    with pytest.raises(WarehouseFault) as raised, translated_errors(WarehouseFault):
        try:
            raise ValueError(f"cannot read {address} with {password!r} or {password}")
        except ValueError:
            log.exception("the driver failed with %s", address)
            raise
    assert shown(str(raised.value) + stream.getvalue(), password) == []
    assert "the driver failed with ***" in stream.getvalue()


def test_the_traceback_of_a_thread_is_shown_without_the_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    read_settings(
        {"ALSOBOUGHT_READER_DSN": "http://ann:hunter2@shop:8123", "ALSOBOUGHT_WEBHOOK_SECRET": "correct horse"}
    )
    redaction.redact_tracebacks()

    def fail() -> None:
        raise ValueError("http://ann:hunter2@shop:8123 and correct horse")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    printed = capsys.readouterr().err
    assert printed.endswith("ValueError: *** and ***\n")
    assert "in fail" in printed


def test_a_fault_of_an_address_shows_the_form_of_a_right_one() -> None:
    with pytest.raises(
        Unusable, match=r"ALSOBOUGHT_DSN is not of the form chdb:///folder or http\(s\)://user:password@host"
    ):
        from_environment({"ALSOBOUGHT_DSN": "ann:hunter2@shop"})
    with pytest.raises(Unusable) as caught:
        from_environment({"ALSOBOUGHT_DSN": "chdb:/folder"})
    assert "chdb:///" in redacted(str(caught.value))
    with pytest.raises(Unusable, match="ALSOBOUGHT_KAFKA is not of the form host:port,host:port"):
        from_environment({"ALSOBOUGHT_KAFKA": "ann:hunter2@shop:9092"})
    with pytest.raises(Unusable, match=r"ALSOBOUGHT_PORT='80a': "):
        from_environment({"ALSOBOUGHT_PORT": "80a"})


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:8123",
        "http://reader@elsewhere",
        "https://ann:p%40ss%2Fword@shop.example.com:8443/db?compress=lz4",
        "http://ann:p@ss@127.0.0.1",
        "http://ann:pass@[::1]:8123/",
    ],
)
def test_a_right_address_is_accepted(address: str) -> None:
    assert from_environment({"ALSOBOUGHT_DSN": address, "ALSOBOUGHT_READER_DSN": address}) == Settings(
        dsn=address, reader_dsn=address
    )
