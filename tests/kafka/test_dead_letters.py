"""Dead letters: their bytes are preserved, they can be looked up, and a replay counts once."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alsobought.errors import NotStored, Unusable
from alsobought.events import Rules
from alsobought.items import Item
from alsobought.kafka import dead_letter_replay, dead_letters
from alsobought.kafka.client import Topic
from alsobought.kafka.consumer import TopicConsumer
from alsobought.kafka.dead_letter_replay import ReplayReport, replay
from alsobought.kafka.dead_letters import (
    DeadLetterFilter,
    count_by_reason,
    dead_letter_at,
    find_keys,
    newest_dead_letters,
    read_pages,
)
from alsobought.kafka.decoding import DeadLetter, decode_events
from alsobought.kafka.offset_audit import gaps
from alsobought.kafka.offset_ranges import next_offsets
from alsobought.service.service import Service
from alsobought.settings import Settings
from alsobought.writer.submission import Submission
from tests.conftest import NOON
from tests.support.brokers import Broker
from tests.support.clickhouse_server import clickhouse_server
from tests.support.engines import migrate
from tests.support.kafka import Topics, until
from tests.support.process import CompletedRun, Run, assert_error, running, serving
from tests.support.web import AWKWARD, stored, wrong_tables

EVENTS, ITEMS = Topic("events", "new"), Topic("items", "new")
BUY = {"event_type": "buy", "user_id": "u", "item_id": "tea", "timestamp": "2026-01-01T11:00:00Z"}
REASON = "event_type: 'buy' is not one of add_to_cart, click"
NOT_REPLAYED = DeadLetterFilter()
TODAY = Rules(NOON, frozenset({"view", "buy"}))


def buy(offset: int, partition: int = 0, item: str = "tea", topic: Topic = EVENTS) -> DeadLetter:
    """A dead letter that can be decoded once `buy` is an event type."""
    body = json.dumps(BUY | {"item_id": item}).encode()
    return DeadLetter.of(topic, partition, offset, REASON, body, NOON + timedelta(seconds=offset))


def undecodable(offset: int, body: bytes = b"\xff", partition: int = 0, topic: Topic = EVENTS) -> DeadLetter:
    """A dead letter that can never be decoded."""
    return DeadLetter.of(topic, partition, offset, f"not JSON (byte {offset})", body, NOON + timedelta(seconds=offset))


def insert(shop: Service, *letters: DeadLetter) -> None:
    shop.warehouse.insert("dead_letters", msgspec.json.Encoder().encode_lines(letters))


def pending(shop: Service) -> list[str]:
    """The coordinates of all that were not replayed, by partition and offset."""
    return [f"{key.source}/{key.partition}/{key.offset}" for key in find_keys(shop.warehouse, NOT_REPLAYED)]


def replay_all(
    shop: Service, matching: DeadLetterFilter = NOT_REPLAYED, rules: Rules = TODAY
) -> tuple[ReplayReport, list[tuple[str, str]]]:
    """Replay the matching dead letters; the report, and (coordinates, reason) of the rejected ones."""
    rejected: list[tuple[str, str]] = []
    total = ReplayReport()
    for page in read_pages(shop.warehouse, matching, find_keys(shop.warehouse, matching)):
        total.add(
            replay(shop.writer, page, rules, lambda letter, reason: rejected.append((letter.coordinates, reason)))
        )
    return total, rejected


# Look-up


BODIES = [b"", b"tea", AWKWARD.encode(), b"\0\x01\x1b[31m\x7f", bytes(range(256)), b"\xed\xa0\x80", "🍵\u2028".encode()]


def test_the_bytes_of_a_dead_letter_are_preserved(shop: Service) -> None:
    insert(shop, *(undecodable(offset, body) for offset, body in enumerate(BODIES)))
    for offset, body in enumerate(BODIES):
        letter = dead_letter_at(shop.warehouse, f"events/0/{offset}")
        assert (letter.message, letter.size) == (body, len(body))
        assert (letter.noted_at, letter.replayed_at) == (NOON + timedelta(seconds=offset), None)


def test_dead_letters_are_listed_newest_first_and_counted_by_reason(shop: Service) -> None:
    insert(shop, buy(1), undecodable(2), undecodable(3), undecodable(4, topic=ITEMS))
    found = newest_dead_letters(shop.warehouse, DeadLetterFilter(), 3)
    assert [letter.coordinates for letter in found] == ["items/0/4", "events/0/3", "events/0/2"]
    assert count_by_reason(shop.warehouse, DeadLetterFilter()) == [
        ("not JSON (byte …)", 3),
        ("event_type: 'buy' is not one of …", 1),
    ]
    assert [letter.offset for letter in newest_dead_letters(shop.warehouse, DeadLetterFilter("'BUY'"), 9)] == [1]
    assert count_by_reason(shop.warehouse, DeadLetterFilter(AWKWARD)) == []
    assert newest_dead_letters(shop.warehouse, DeadLetterFilter("%"), 9) == []


def test_a_dead_letter_inserted_twice_is_one(shop: Service) -> None:
    insert(shop, undecodable(1), undecodable(2))
    insert(shop, undecodable(2))
    assert count_by_reason(shop.warehouse, DeadLetterFilter()) == [("not JSON (byte …)", 2)]


def test_coordinates_with_a_topic_name_mean_the_topic_that_was_consumed_last(shop: Service) -> None:
    old = Topic("events", "old")
    insert(shop, buy(5, item="old", topic=old), undecodable(4, topic=old), buy(5, item="new"))
    assert '"new"' in dead_letter_at(shop.warehouse, "events/0/5").body, (
        "without checkpoints, the source with the newest dead letter"
    )
    for source, noted_at in ((EVENTS.source, "2026-01-01 10:00:00"), (old.source, "2026-01-01 09:00:00")):
        insert_range(shop, source=source, noted_at=noted_at)
    assert '"new"' in dead_letter_at(shop.warehouse, "events/0/5").body
    insert_range(shop, source=old.source, noted_at="2026-01-01 11:00:00")
    assert '"old"' in dead_letter_at(shop.warehouse, "events/0/5").body
    found = newest_dead_letters(shop.warehouse, DeadLetterFilter(), 9)
    assert [letter.coordinates for letter in found] == ["kafka:events:new/0/5", "events/0/5", "events/0/4"]
    for letter in found:
        assert dead_letter_at(shop.warehouse, letter.coordinates) == letter, "listed coordinates can be looked up"


def insert_range(shop: Service, **columns: Any) -> None:
    row = {"partition": 0, "first_offset": 0, "next_offset": 9, "messages": 9, "stored": 9, "repeats": 0, "refused": 0}
    shop.warehouse.insert("ingest_ranges", json.dumps(row | columns).encode())


def test_malformed_coordinates_are_an_error(shop: Service) -> None:
    for coordinates in ("", "events", "events/0", "events/0/x", "/0/1", "events/0/-1", f"events/0/{'9' * 30}"):
        with pytest.raises(Unusable, match=r"is not of the form topic/partition/offset.*events/3/1042"):
            dead_letter_at(shop.warehouse, coordinates)


def test_coordinates_without_a_dead_letter_are_an_error(shop: Service) -> None:
    insert(shop, undecodable(1))
    with pytest.raises(Unusable, match=r"no dead letter at events/0/2\b"):
        dead_letter_at(shop.warehouse, "events/0/2")


# Replaying


def test_a_replayed_event_counts_once_however_often_it_is_replayed(shop: Service) -> None:
    track = {"type": "track", "event": "Order Completed", "userId": "u", "messageId": "m"}
    track["properties"] = {"order_id": "o", "products": [{"product_id": "tea"}, {"product_id": "pot"}]}  # type: ignore[assignment]
    order = DeadLetter.of(EVENTS, 2, 9, "event_type: …", json.dumps(track).encode(), NOON)
    insert(shop, buy(3), buy(1), buy(2, partition=2), order, undecodable(4))
    rules = Rules(NOON, frozenset({"buy", "purchase"}))
    first, rejected = replay_all(shop, rules=rules)
    assert (first.replayed, first.stored, first.duplicates, first.rejected) == (4, 5, 0, 1)
    assert [coordinates for coordinates, _ in rejected] == ["events/0/4"]
    stored_events = stored(shop, "source, partition, offset, event_type")
    assert stored_events == [
        ["kafka:events:new", 0, 1, "buy"],
        ["kafka:events:new", 0, 3, "buy"],
        ["kafka:events:new", 2, 2, "buy"],
        ["kafka:events:new", 2, 9, "purchase"],
        ["kafka:events:new", 2, 9, "purchase"],
    ]
    again, _ = replay_all(shop, rules=rules)
    assert (again.replayed, again.rejected) == (0, 1)
    chosen = [dead_letter_at(shop.warehouse, coordinates) for coordinates in ("events/0/1", "events/2/9")]
    assert all(letter.replayed_at for letter in chosen)
    third = replay(shop.writer, chosen, rules, lambda _, problem: pytest.fail(problem))
    assert (third.replayed, third.stored, third.duplicates) == (2, 0, 3)
    assert stored(shop, "source, partition, offset, event_type") == stored_events
    assert wrong_tables(shop) == {}


def test_replayed_dead_letters_are_kept_and_listed_on_request(shop: Service) -> None:
    insert(shop, buy(1), undecodable(2))
    replay_all(shop)
    assert pending(shop) == ["kafka:events:new/0/2"]
    assert [letter.offset for letter in newest_dead_letters(shop.warehouse, DeadLetterFilter(), 9)] == [2]
    both = newest_dead_letters(shop.warehouse, DeadLetterFilter(replayed=True), 9)
    assert {letter.offset: letter.replayed_at for letter in both} == {1: NOON, 2: None}
    assert dead_letter_at(shop.warehouse, "events/0/1").message == buy(1).message


def test_undecodable_dead_letters_stay_and_are_reported_with_the_present_reason(shop: Service) -> None:
    insert(shop, buy(1))
    report, rejected = replay_all(shop, rules=Rules(NOON, frozenset({"view"})))
    assert (report.replayed, report.rejected) == (0, 1)
    assert rejected == [("events/0/1", "event_type: 'buy' is not one of view")]
    assert pending(shop) == ["kafka:events:new/0/1"]


def test_only_dead_letters_with_the_reason_are_replayed(shop: Service) -> None:
    late = DeadLetter.of(EVENTS, 0, 2, "timestamp: ahead", json.dumps(BUY).encode(), NOON)
    insert(shop, buy(1), late, buy(3))
    report, _ = replay_all(shop, DeadLetterFilter("'buy'"))
    assert (report.replayed, pending(shop)) == (2, ["kafka:events:new/0/2"])


def test_dead_letters_are_read_in_pages_and_none_twice(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = [(buy if offset % 3 else undecodable)(offset, partition=part) for part in range(3) for offset in range(6)]
    insert(shop, *letters)
    keys = find_keys(shop.warehouse, DeadLetterFilter())
    everything = [
        (letter.partition, letter.offset) for page in read_pages(shop.warehouse, NOT_REPLAYED, keys) for letter in page
    ]
    for name, limit in (("PAGE_LETTERS", 4), ("PAGE_BYTES", 150)):
        monkeypatch.setattr(dead_letters, name, limit)
        paged = [
            [(letter.partition, letter.offset) for letter in page]
            for page in read_pages(shop.warehouse, NOT_REPLAYED, keys)
        ]
        assert [key for page in paged for key in page] == everything
        assert len(paged) > 4
    assert len(everything) == 18
    report, _ = replay_all(shop)
    assert (report.replayed, report.stored, report.rejected) == (12, 12, 6)
    assert len(pending(shop)) == 6


def test_rows_that_were_stored_but_not_marked_are_duplicates_of_the_next_replay(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(shop, buy(1), buy(2))
    with monkeypatch.context() as broken:
        broken.setattr(dead_letter_replay, "_mark_replayed", _fail)
        with pytest.raises(NotStored):
            replay_all(shop)
    assert (len(stored(shop)), len(pending(shop))) == (2, 2)
    report, _ = replay_all(shop)
    assert (report.replayed, report.stored, report.duplicates, pending(shop)) == (2, 0, 2, [])


def test_dead_letters_that_the_warehouse_failed_to_store_are_not_marked(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(shop, buy(1))
    original = type(shop.warehouse).insert

    def failing(self: object, table: str, *args: Any, **options: Any) -> None:
        _fail() if table == "events" else original(self, table, *args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(type(shop.warehouse), "insert", failing)
        broken.setattr(type(shop.warehouse), "insert_fenced", failing, raising=False)
        with pytest.raises(NotStored):
            replay_all(shop)
    assert pending(shop) == ["kafka:events:new/0/1"]
    assert replay_all(shop)[0].stored == 1


def _fail(*_: object) -> None:
    raise NotStored("no room")


def test_an_event_that_was_sent_again_meanwhile_is_a_duplicate_by_event_id(make_shop: Callable[..., Service]) -> None:
    shop = make_shop()
    body = json.dumps(BUY | {"event_id": "b1"}).encode()
    insert(shop, DeadLetter.of(EVENTS, 0, 1, REASON, body, NOON))
    events = decode_events(body, TODAY)
    assert not isinstance(events, str)
    assert shop.writer.submit(Submission(events.events)).result().rows == 1
    report, _ = replay_all(shop)
    assert (report.replayed, report.stored, report.duplicates, pending(shop)) == (1, 0, 1, [])


def test_an_item_is_replayed_unless_a_newer_version_is_stored(shop: Service) -> None:
    """The clock stands at noon: the dead letter of tea is older, that of pot is newer."""
    insert(
        shop,
        DeadLetter.of(ITEMS, 0, 1, "too large", b'{"item_id": "tea", "title": "old"}', NOON - timedelta(hours=1)),
        DeadLetter.of(ITEMS, 0, 2, "too large", b'{"item_id": "pot", "title": "new"}', NOON + timedelta(hours=1)),
        DeadLetter.of(ITEMS, 0, 3, "too large", b'{"item_id": "mug", "title": "only"}', NOON - timedelta(hours=1)),
    )
    shop.writer.submit(Submission([Item(item_id="tea", title="newest"), Item(item_id="pot", title="old")])).result()
    report, _ = replay_all(shop)
    assert (report.replayed, report.stored, report.superseded, pending(shop)) == (3, 2, 1, [])
    sql = (
        f"select item_id, argMax(title, version) from {shop.settings.database}.items group by item_id order by item_id"
    )
    assert shop.warehouse.trusted_rows(sql).data == [["mug", "only"], ["pot", "new"], ["tea", "newest"]]


def test_rejected_messages_of_a_consumer_count_once_they_can_be_decoded(
    make_shop: Callable[..., Service], kafka: Broker
) -> None:
    topics = Topics(kafka)
    shop = make_shop(**topics.settings)
    topics.create()
    topics.send(*({"event_type": "view", "user_id": f"u{n}", "item_id": "tea"} for n in range(20)))
    topics.send(BUY, BUY | {"user_id": "other"}, b"\xff")
    topics.send({"item_id": []}, items=True)
    consumer = TopicConsumer(shop.writer, shop.settings)
    consumer.start()
    until(lambda: consumer.totals.messages == 24)
    consumer.stop()
    before = next_offsets(shop.warehouse)
    report, rejected = replay_all(shop)
    assert (report.replayed, report.stored, report.rejected) == (2, 2, 2)
    assert {coordinates.partition("/")[0] for coordinates, _ in rejected} == {
        f"{topics.name}.events",
        f"{topics.name}.items",
    }
    again = TopicConsumer(shop.writer, shop.settings)
    again.start()
    topics.send({"event_type": "view", "user_id": "last", "item_id": "tea"})
    until(lambda: again.totals.messages == 1)
    again.stop()
    assert len(stored(shop)) == 23
    assert sum(next_offsets(shop.warehouse).values()) == sum(before.values()) + 1, (
        "a replay does not change next offsets"
    )
    assert gaps(shop.warehouse) == []
    assert wrong_tables(shop) == {}


# The commands, on a folder and over HTTP


def insert_by_command(run: Run, *letters: DeadLetter) -> None:
    """Insert dead letters in a process of its own."""
    lines = msgspec.json.Encoder().encode_lines(letters)
    run.python(
        f"""
        from alsobought.settings import from_environment
        from alsobought.service.service import open_service
        service = open_service(from_environment())
        service.warehouse.insert("dead_letters", {lines!r})
        service.close()
        """
    )


def event_coordinates(run: Run) -> list[list[int]]:
    """Partition and offset of every event."""
    output = run.python(
        """
        import json
        from alsobought.settings import from_environment
        from alsobought.storage.clickhouse import open_warehouse
        warehouse = open_warehouse(from_environment())
        print(json.dumps(warehouse.rows(
            f"select partition, offset from {warehouse.database}.events order by partition, offset").data))
        warehouse.close()
        """
    )
    coordinates: list[list[int]] = json.loads(output)
    return coordinates


@pytest.fixture
def run(run_migrated: Run) -> Run:
    return _keeping(run_migrated)


def _keeping(run: Run) -> Run:
    """Dead letters are kept: those of these tests are of a January long ago."""
    return replace(run, settings={**run.settings, "ALSOBOUGHT_DEAD_LETTER_RETENTION_DAYS": "0"})


@pytest.fixture(params=["folder", pytest.param("http", marks=pytest.mark.thorough)])
def run_anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    if request.param == "folder":
        yield _keeping(request.getfixturevalue("run_migrated"))
        return
    with clickhouse_server() as started:
        migrate(Settings(dsn=started.dsn))
        yield _keeping(running(tmp_path / "data", ALSOBOUGHT_DSN=started.dsn))


def test_dead_letters_are_listed_shown_and_replayed(run_anywhere: Run) -> None:
    run = run_anywhere
    insert_by_command(run, buy(1042, partition=3), buy(7), undecodable(9, b'\xff[bold]"'))
    listed = run("dead-letters", "ls")
    assert (listed.status, listed.err) == (0, "")
    rows = listed.out.splitlines()
    assert [row.split()[0] for row in rows[1:4]] == ["events/3/1042", "events/0/9", "events/0/7"]
    assert "2026-01-01 12:17:22" in rows[1]
    assert "event_type: 'buy' is not one of …" in rows[1]
    assert rows[4] == "3 dead letters"
    assert [row.strip() for row in rows[5:]] == [
        "2 \N{MULTIPLICATION SIGN} event_type: 'buy' is not one of …",
        "1 \N{MULTIPLICATION SIGN} not JSON (byte …)",
    ]
    assert "1 of 3 dead letters" in run("dead-letters", "ls", "--limit", "1").out

    shown = run("dead-letters", "show", "events/3/1042")
    assert REASON in shown.out
    assert "kafka:events:new" in shown.out
    assert '\n  "event_type": "buy",\n' in shown.out
    shown = run("dead-letters", "show", "events/0/9")
    assert "00000000  ff 5b 62 6f 6c 64 5d 22" in shown.out
    assert '.[bold]"' in shown.out

    ran = run("dead-letters", "replay", "--reason", "'buy'")
    assert ran.status == 1
    assert "events/3/1042: event_type: 'buy' is not one of" in ran.err
    assert (
        ran.out == "0 of 2 dead letters replayed: 0 events and items stored, 0 duplicates; 2 still cannot be decoded\n"
    )

    types = {"ALSOBOUGHT_EVENT_TYPES": "buy"}
    ran = run("dead-letters", "replay", "--all", "--dry-run", **types)
    assert (
        ran.out
        == "2 of 3 dead letters would be replayed: 2 events and items would be stored; 1 still cannot be decoded\n"
    )
    assert (ran.status, event_coordinates(run)) == (1, [])
    ran = run("dead-letters", "replay", "--reason", "'buy'", **types)
    assert (ran.status, ran.out) == (0, "2 of 2 dead letters replayed: 2 events and items stored, 0 duplicates\n")
    ran = run("dead-letters", "replay", "events/3/1042", "events/0/7", "events/0/7", **types)
    assert (ran.status, ran.out) == (0, "2 of 2 dead letters replayed: 0 events and items stored, 2 duplicates\n")
    assert event_coordinates(run) == [[0, 7], [3, 1042]]
    ran = run("dead-letters", "replay", "--all", **types)
    assert (ran.status, ran.err.splitlines()[0].partition(": ")[0]) == (1, "events/0/9")

    letters = [json.loads(line) for line in run("dead-letters", "ls", "--json", "--all").out.splitlines()]
    assert {letter["coordinates"]: bool(letter["replayed_at"]) for letter in letters} == {
        "events/3/1042": True,
        "events/0/7": True,
        "events/0/9": False,
    }
    assert all(letter["place"] == letter["coordinates"] for letter in letters), "the deprecated name"
    assert run("check").status == 0


def test_raw_prints_only_the_original_bytes(run: Run) -> None:
    insert_by_command(run, undecodable(1, bytes(range(256)) + b"\r\n"))
    command = [sys.executable, "-m", "alsobought", "dead-letters", "show", "events/0/1", "--raw"]
    ran = subprocess.run(command, env=run.environment({}), capture_output=True, check=True)
    assert ran.stdout == bytes(range(256)) + b"\r\n"


@pytest.mark.thorough
def test_a_dead_letter_has_no_effect_on_the_terminal(run: Run) -> None:
    hostile = "\x1b]0;owned\x07[red]\x9b31m\u202e"
    letter = DeadLetter.of(EVENTS, 0, 1, f"{hostile}: missing", f'{{"a": "{hostile[5:]}"}}'.encode(), NOON)
    insert_by_command(run, letter, undecodable(2, hostile.encode()))
    for words in (("show", "events/0/1"), ("show", "events/0/2"), ("replay", "--all"), ("ls",)):
        ran = run("dead-letters", *words)
        assert ran.out
        assert not {"\x1b", "\x07", "\x9b"} & {*ran.out, *ran.err}
    assert "[red]" in ran.out


@pytest.mark.thorough
def test_an_empty_list_is_a_sentence(run: Run, tmp_path: Path) -> None:
    assert_error(running(tmp_path / "none")("dead-letters", "ls"), "there is no warehouse")
    assert run("dead-letters", "ls").out.startswith("There are no dead letters: ")
    assert "'tea' in its reason" in run("dead-letters", "ls", "--reason", "tea").out
    assert run("dead-letters", "ls", "--json").out == ""
    ran = run("dead-letters", "replay", "--all")
    assert (ran.status, ran.out) == (0, "There is nothing to replay\n")


@pytest.mark.thorough
def test_wrong_arguments_are_errors(run: Run) -> None:
    assert_error(run("dead-letters", "show", "events/0/1"), "no dead letter at events/0/1", "ls --all")
    assert_error(
        run("dead-letters", "show", "1042"), "'1042' is not of the form topic/partition/offset", "events/3/1042"
    )
    for words in ((), ("--all", "--reason", "x"), ("events/0/1", "--all")):
        assert_error(run("dead-letters", "replay", *words), "choose the dead letters")
    assert_error(run("dead-letters", "replay", "events/0/1"), "no dead letter at events/0/1")


@pytest.mark.thorough
def test_a_replay_killed_between_storing_and_marking_counts_once_when_run_again(run: Run) -> None:
    insert_by_command(run, *(buy(offset, partition) for offset in range(5) for partition in (1, 4)))
    types = {"ALSOBOUGHT_EVENT_TYPES": "buy"}
    for point in ("ingest.after_insert", "replay.stored:2"):
        ran = run("dead-letters", "replay", "--all", **types, ALSOBOUGHT_FAILPOINT=point)
        assert ran.status == -signal.SIGKILL
    ran = run("dead-letters", "replay", "--all", **types)
    assert (ran.status, ran.out) == (0, "5 of 5 dead letters replayed: 0 events and items stored, 5 duplicates\n")
    assert event_coordinates(run) == [[partition, offset] for partition in (1, 4) for offset in range(5)]
    assert run("check").status == 0


@pytest.mark.thorough
def test_the_commands_do_the_same_beside_a_running_service(run: Run) -> None:
    insert_by_command(run, buy(1042, partition=3), buy(7), undecodable(9))
    commands = [("ls",), ("show", "events/3/1042"), ("show", "x/0/0"), ("replay", "--all", "--dry-run")]

    def outputs() -> list[CompletedRun]:
        """Without the time it took."""
        results = [run("dead-letters", *words) for words in commands]
        return [
            replace(result, err=re.sub(r"(?m)^replay \N{BOX DRAWINGS HEAVY HORIZONTAL}.*\n", "", result.err))
            for result in results
        ]

    alone = outputs()
    with serving(run) as service:
        assert outputs() == alone
        ran = run("dead-letters", "replay", "--reason", "buy", ALSOBOUGHT_EVENT_TYPES="buy")
        assert (ran.status, ran.out) == (
            0,
            "2 of 2 dead letters replayed: 2 events and items stored, 0 duplicates\n",
        )
        again = run("dead-letters", "replay", "events/3/1042", ALSOBOUGHT_EVENT_TYPES="buy")
        assert "0 events and items stored, 1 duplicates" in again.out
        seen = service.ask("/pipes/recently_viewed?user_id=u")
        assert seen[0] == 200
        service.stop()
    assert event_coordinates(run) == [[0, 7], [3, 1042]]
