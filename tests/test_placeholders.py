"""Placeholders are nobody: an event keeps its other ids, and without any it is rejected."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alsobought.errors import PipeFault
from alsobought.events import Event, Rules, read_events
from alsobought.items import read_items
from alsobought.kafka.decoding import decode_events, decode_items
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.row_converter import row_reader
from alsobought.pipes.placeholder_file import parse_placeholders, placeholders_of
from alsobought.placeholders import Texts
from tests.support.project import ROOT

PLACEHOLDERS = placeholders_of(ROOT)
RULES = Rules(datetime(2026, 1, 1, tzinfo=UTC), placeholders=PLACEHOLDERS)
HEADER = 'placeholder String (1..256),"stands_for String (nobody, nothing)"\n'
NIL = "00000000-0000-0000-0000-000000000000"


def read(**fields: str) -> Event | str:
    """The event of these fields, or its problem."""
    raw = json.dumps({"event_type": "view", "item_id": "tea", **fields}).encode()
    valid, rejected = read_events([raw], RULES)
    return valid[0] if valid else rejected[0].problem


@pytest.mark.parametrize(
    "text",
    [
        *(
            "undefined",
            "Undefined",
            "UNDEFINED",
            "uNdEfInEd",
            " undefined ",
            "undefined\n",
            "\u00a0undefined",
            '"undefined"',
        ),
        *(
            "null",
            "NULL",
            "none",
            "None",
            "nil",
            "nan",
            "NaN",
            "[object Object]",
            "[object Undefined]",
            "[object%20Object]",
        ),
        *("0", "00", "000000", "0.0", "-0", "+0", "0x0", NIL, NIL.upper(), f"{{{NIL}}}", NIL.replace("-", "")),
        *("anonymous", "Guest", "unknown", "-", "--", "n/a", "N/A", "(not set)", "(null)", "<null>", "true", "false"),
        *("{{user_id}}", "{{ customer.id }}", "${userId}", "%%USER_ID%%", "<%= user.id %>", "#{user.id}"),
        *(" ", "\t", "''", '""', "\ufeff"),
    ],
)
def test_placeholders_are_nobody_in_any_spelling(text: str) -> None:
    assert text in PLACEHOLDERS.nobody
    guest = read(user_id=text, session_id="s1")
    assert isinstance(guest, Event)
    assert (guest.user_id, guest.session_id) == ("", "s1")
    user = read(user_id="ada", session_id=text)
    assert isinstance(user, Event)
    assert (user.user_id, user.session_id) == ("ada", "")
    assert isinstance(read(user_id=text), str)
    assert isinstance(read(session_id=text), str)
    assert isinstance(read(user_id=text, session_id=text), str)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "ada",
            "nulla",
            "nullable",
            "undefined-7",
            "Nona",
            "Nan Goldin",
            "nancy",
            "guest-17",
            "unknown17",
            "test",
            "user",
        ),
        *(
            "007",
            "10",
            "1",
            "0f",
            "0-1",
            "00000000-0000-0000-0000-000000000001",
            "{1}",
            "{{",
            "}}",
            "$5",
            "50%",
            "[tea]",
            "u-",
        ),
    ],
)
def test_other_ids_are_kept(text: str) -> None:
    event = read(user_id=text, session_id=text)
    assert isinstance(event, Event)
    assert (event.user_id, event.session_id) == (text, text)


def test_without_a_user_and_a_session_the_reason_is_given() -> None:
    leave_out = "leave it out, and send the session_id of the guest (sql/placeholders.csv)"
    assert read(user_id="Undefined") == f"user_id: 'Undefined' is a placeholder, not a user; {leave_out}"
    assert read(user_id="null", session_id="0") == f"user_id: 'null' is a placeholder, not a user; {leave_out}"
    later = "send the event once its session or user is known (sql/placeholders.csv)"
    assert read(session_id="null") == f"session_id: 'null' is a placeholder, not a session; {later}"
    assert read() == "user_id: missing; a guest needs a session_id instead"


@pytest.mark.parametrize("text", ["undefined", "null", "[object Object]", "NaN", "{{product.id}}", " "])
def test_an_item_without_a_real_id_is_rejected(text: str) -> None:
    assert read(item_id=text, user_id="ada") == (
        f"item_id: {text!r} is a placeholder, not an item; send the event once the item is known (sql/placeholders.csv)"
    )
    _, rejected = read_items([json.dumps({"item_id": text}).encode()], 1_000, placeholders=PLACEHOLDERS)
    assert [one.problem for one in rejected] == [f"item_id: {text!r} is a placeholder, not an item"]


@pytest.mark.parametrize("text", ["0", "00", "-", "guest", "unknown", "true"])
def test_an_item_may_be_called_what_a_user_cannot(text: str) -> None:
    event = read(item_id=text, user_id="ada", order_id=text, event_id=text)
    assert isinstance(event, Event)
    assert (event.item_id, event.order_id, event.event_id) == (text, text, text)


def test_a_placeholder_joins_no_orders_and_repeats_no_event() -> None:
    event = read(user_id="ada", order_id="undefined", event_id="null")
    assert isinstance(event, Event)
    assert (event.order_id, event.event_id) == ("", "")


def test_a_wildcard_may_stand_anywhere() -> None:
    texts = Texts(["*-undefined", "tmp*", "a*c"])
    assert [text in texts for text in ("s-undefined", "TMP7", "tmp", "abc", "ac")] == [True] * 5
    assert [text in texts for text in ("undefined", "xtmp", "abcd")] == [False] * 3
    rules = Rules(RULES.now, placeholders=parse_placeholders(HEADER + "*-undefined,nobody\ntmp*,nobody\n"))
    raw = [
        json.dumps({"event_type": "view", "item_id": "tea", "session_id": one}).encode()
        for one in ("s-undefined", "tmp9")
    ]
    assert [one.index for one in read_events(raw, rules)[1]] == [0, 1]


def test_a_shop_changes_the_list_while_it_runs(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    path = tmp_path / "sql" / "placeholders.csv"
    path.write_text(f"{HEADER}undefined,nothing\n")
    assert "guest" not in placeholders_of(tmp_path).nobody
    path.write_text(f"{HEADER}undefined,nothing\nguest,nobody\n")
    assert "guest" in placeholders_of(tmp_path).nobody
    path.write_text(HEADER)
    assert "undefined" not in placeholders_of(tmp_path).nobody


def test_a_project_without_the_file_has_the_list_of_the_package(tmp_path: Path) -> None:
    assert placeholders_of(tmp_path).members == PLACEHOLDERS.members


def test_a_fault_in_the_file_leaves_the_last_valid_list_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "sql").mkdir()
    path = tmp_path / "sql" / "placeholders.csv"
    path.write_text(f"{HEADER}nemo,nobody\n")
    assert "nemo" in placeholders_of(tmp_path).nobody
    path.write_text(f"{HEADER}nemo,somebody\n")
    with caplog.at_level(logging.WARNING):
        assert "nemo" in placeholders_of(tmp_path).nobody
        assert "nemo" in placeholders_of(tmp_path).nobody
    assert [record.getMessage() for record in caplog.records] == [
        "sql/placeholders.csv: line 2: stands_for: 'somebody' is not one of nobody, nothing; did you mean nobody?; "
        "the last valid list holds"
    ]


def test_the_file_needs_its_two_columns() -> None:
    with pytest.raises(PipeFault, match=r"has the columns placeholder\. It needs placeholder and stands_for"):
        parse_placeholders("placeholder String\nundefined\n")


def test_messages_and_files_follow_the_same_list() -> None:
    fields = {"event_type": "view", "item_id": "tea", "user_id": "undefined"}
    reason = "user_id: 'undefined' is a placeholder, not a user; leave it out, and send the session_id of the guest"
    assert decode_events(json.dumps(fields).encode(), RULES) == f"{reason} (sql/placeholders.csv)"
    call = {"type": "track", "event": "Product Viewed", "userId": "null", "properties": {"product_id": "tea"}}
    decoded = decode_events(json.dumps({**call, "anonymousId": "s1"}).encode(), RULES)
    assert not isinstance(decoded, str)
    assert decoded.events == [Event(event_type="view", item_id="tea", session_id="s1")]
    assert str(decode_events(json.dumps(call).encode(), RULES)).startswith("user_id: 'null' is a placeholder")
    assert str(decode_items(b'{"item_id": "NaN"}', RULES)).startswith("item_id: 'NaN' is a placeholder")
    rows = [fields, {**fields, "session_id": "s1"}]
    read = row_reader("events", ColumnMapping(), RULES)(rows)
    assert (len(read.accepted), [one.index for one in read.rejected]) == (1, [0])
    assert len(row_reader("items", ColumnMapping(), RULES)([{"item_id": "null"}, {"item_id": "0"}]).accepted) == 1
