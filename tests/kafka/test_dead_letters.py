"""Dead letters: their bytes are kept, they are found again, and what can be read now is stored once."""

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
from alsobought.events import Item, Rules
from alsobought.kafka import dead_letters
from alsobought.kafka.checkpoints import gaps, read_so_far
from alsobought.kafka.client import Topic
from alsobought.kafka.consumer import Stream
from alsobought.kafka.dead_letters import (
    Replayed,
    Which,
    kinds,
    letter_at,
    newest,
    pages,
    places,
    replay,
)
from alsobought.kafka.decoding import DeadLetter, events_of_message
from alsobought.service.service import Service
from alsobought.settings import Settings
from alsobought.writer.submission import Submission
from tests.conftest import NOON
from tests.support.brokers import Broker
from tests.support.engines import http_server, migrate
from tests.support.kafka import Topics, until
from tests.support.process import CompletedRun, Run, assert_error, running, serving
from tests.support.web import AWKWARD, stored, wrong_tables

EVENTS, ITEMS = Topic("events", "new"), Topic("items", "new")
BUY = {"event_type": "buy", "user_id": "u", "item_id": "tea", "timestamp": "2026-01-01T11:00:00Z"}
REFUSED = "event_type: 'buy' is not one of add_to_cart, click"
EVERY = Which()
TODAY = Rules(NOON, frozenset({"view", "buy"}))


def buy(offset: int, partition: int = 0, item: str = "tea", topic: Topic = EVENTS) -> DeadLetter:
    """A letter that can be read once buy is an event type."""
    body = json.dumps(BUY | {"item_id": item}).encode()
    return DeadLetter.of(topic, partition, offset, REFUSED, body, NOON + timedelta(seconds=offset))


def poison(offset: int, body: bytes = b"\xff", partition: int = 0, topic: Topic = EVENTS) -> DeadLetter:
    """One that never can."""
    return DeadLetter.of(topic, partition, offset, f"not JSON (byte {offset})", body, NOON + timedelta(seconds=offset))


def keep(shop: Service, *dead: DeadLetter) -> None:
    shop.warehouse.insert("dead_letters", msgspec.json.Encoder().encode_lines(dead))


def waiting(shop: Service) -> list[str]:
    """The places of all that were not replayed, by partition and offset."""
    return [f"{one.source}/{one.partition}/{one.offset}" for one in places(shop.warehouse, Which())]


def replayed(shop: Service, which: Which = EVERY, rules: Rules = TODAY) -> tuple[Replayed, list[tuple[str, str]]]:
    """What one replay made of them, and what it told of those that still cannot be read."""
    said: list[tuple[str, str]] = []
    total = Replayed()
    for page in pages(shop.warehouse, which, places(shop.warehouse, which)):
        done = replay(shop.writer, page, rules, lambda letter, problem: said.append((letter.place, problem)))
        total = Replayed(*(a + b for a, b in zip(vars(total).values(), vars(done).values(), strict=True)))
    return total, said


# The table


BODIES = [b"", b"tea", AWKWARD.encode(), b"\0\x01\x1b[31m\x7f", bytes(range(256)), b"\xed\xa0\x80", "🍵\u2028".encode()]


def test_the_bytes_of_a_letter_come_back_as_they_were(shop: Service) -> None:
    keep(shop, *(poison(offset, body) for offset, body in enumerate(BODIES)))
    for offset, body in enumerate(BODIES):
        letter = letter_at(shop.warehouse, f"events/0/{offset}")
        assert (letter.message, letter.size) == (body, len(body))
        assert (letter.noted_at, letter.replayed_at) == (NOON + timedelta(seconds=offset), None)


def test_the_newest_come_first_and_are_counted_by_reason(shop: Service) -> None:
    keep(shop, buy(1), poison(2), poison(3), poison(4, topic=ITEMS))
    found = newest(shop.warehouse, Which(), 3)
    assert [letter.place for letter in found] == ["items/0/4", "events/0/3", "events/0/2"]
    assert kinds(shop.warehouse, Which()) == [("not JSON (byte …)", 3), ("event_type: 'buy' is not one of …", 1)]
    assert [letter.offset for letter in newest(shop.warehouse, Which("'BUY'"), 9)] == [1]
    assert kinds(shop.warehouse, Which(AWKWARD)) == []
    assert newest(shop.warehouse, Which("%"), 9) == []


def test_a_letter_noted_twice_is_one(shop: Service) -> None:
    keep(shop, poison(1), poison(2))
    keep(shop, poison(2))
    assert kinds(shop.warehouse, Which()) == [("not JSON (byte …)", 2)]


def test_of_a_topic_that_was_made_again_the_short_place_is_the_one_that_was_read_last(shop: Service) -> None:
    old = Topic("events", "old")
    keep(shop, buy(5, item="old", topic=old), poison(4, topic=old), buy(5, item="new"))
    assert '"new"' in letter_at(shop.warehouse, "events/0/5").body, (
        "the one noted last, as long as nothing else is known"
    )
    for source, noted_at in ((EVENTS.source, "2026-01-01 10:00:00"), (old.source, "2026-01-01 09:00:00")):
        keep_range(shop, source=source, noted_at=noted_at)
    assert '"new"' in letter_at(shop.warehouse, "events/0/5").body
    keep_range(shop, source=old.source, noted_at="2026-01-01 11:00:00")
    assert '"old"' in letter_at(shop.warehouse, "events/0/5").body
    found = newest(shop.warehouse, Which(), 9)
    assert [letter.place for letter in found] == ["kafka:events:new/0/5", "events/0/5", "events/0/4"]
    for letter in found:
        assert letter_at(shop.warehouse, letter.place) == letter, "what is shown can be asked for"


def keep_range(shop: Service, **given: Any) -> None:
    row = {"partition": 0, "first_offset": 0, "next_offset": 9, "messages": 9, "stored": 9, "repeats": 0, "refused": 0}
    shop.warehouse.insert("ingest_ranges", json.dumps(row | given).encode())


def test_what_is_no_place_is_told(shop: Service) -> None:
    for place in ("", "events", "events/0", "events/0/x", "/0/1", "events/0/-1", f"events/0/{'9' * 30}"):
        with pytest.raises(Unusable, match=r"is not a place.*events/3/1042"):
            letter_at(shop.warehouse, place)


def test_a_place_without_a_letter_is_told(shop: Service) -> None:
    keep(shop, poison(1))
    with pytest.raises(Unusable, match=r"no dead letter at events/0/2\b"):
        letter_at(shop.warehouse, "events/0/2")


# Replaying


def test_what_can_be_read_now_counts_once_however_often_it_is_replayed(shop: Service) -> None:
    track = {"type": "track", "event": "Order Completed", "userId": "u", "messageId": "m"}
    track["properties"] = {"order_id": "o", "products": [{"product_id": "tea"}, {"product_id": "pot"}]}  # type: ignore[assignment]
    order = DeadLetter.of(EVENTS, 2, 9, "event_type: …", json.dumps(track).encode(), NOON)
    keep(shop, buy(3), buy(1), buy(2, partition=2), order, poison(4))
    rules = Rules(NOON, frozenset({"buy", "purchase"}))
    first, said = replayed(shop, rules=rules)
    assert (first.taken, first.stored, first.repeats, first.refused) == (4, 5, 0, 1)
    assert [place for place, _ in said] == ["events/0/4"]
    places_of_events = stored(shop, "source, partition, offset, event_type")
    assert places_of_events == [
        ["kafka:events:new", 0, 1, "buy"],
        ["kafka:events:new", 0, 3, "buy"],
        ["kafka:events:new", 2, 2, "buy"],
        ["kafka:events:new", 2, 9, "purchase"],
        ["kafka:events:new", 2, 9, "purchase"],
    ]
    again, _ = replayed(shop, rules=rules)
    assert (again.taken, again.refused) == (0, 1)
    named = [letter_at(shop.warehouse, place) for place in ("events/0/1", "events/2/9")]
    assert all(letter.replayed_at for letter in named)
    third = replay(shop.writer, named, rules, lambda _, problem: pytest.fail(problem))
    assert (third.taken, third.stored, third.repeats) == (2, 0, 3)
    assert stored(shop, "source, partition, offset, event_type") == places_of_events
    assert wrong_tables(shop) == {}


def test_what_was_replayed_is_kept_and_shown_when_asked_for(shop: Service) -> None:
    keep(shop, buy(1), poison(2))
    replayed(shop)
    assert waiting(shop) == ["kafka:events:new/0/2"]
    assert [letter.offset for letter in newest(shop.warehouse, Which(), 9)] == [2]
    both = newest(shop.warehouse, Which(replayed=True), 9)
    assert {letter.offset: letter.replayed_at for letter in both} == {1: NOON, 2: None}
    assert letter_at(shop.warehouse, "events/0/1").message == buy(1).message


def test_what_still_cannot_be_read_stays_and_is_told_with_the_reason_of_now(shop: Service) -> None:
    keep(shop, buy(1))
    done, said = replayed(shop, rules=Rules(NOON, frozenset({"view"})))
    assert (done.taken, done.refused) == (0, 1)
    assert said == [("events/0/1", "event_type: 'buy' is not one of view")]
    assert waiting(shop) == ["kafka:events:new/0/1"]


def test_only_letters_with_the_reason_are_replayed(shop: Service) -> None:
    late = DeadLetter.of(EVENTS, 0, 2, "timestamp: ahead", json.dumps(BUY).encode(), NOON)
    keep(shop, buy(1), late, buy(3))
    done, _ = replayed(shop, Which("'buy'"))
    assert (done.taken, waiting(shop)) == (2, ["kafka:events:new/0/2"])


def test_many_letters_are_read_a_page_at_a_time_and_none_twice(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = [(buy if offset % 3 else poison)(offset, partition=part) for part in range(3) for offset in range(6)]
    keep(shop, *dead)
    asked = places(shop.warehouse, Which())
    everything = [
        (letter.partition, letter.offset) for page in pages(shop.warehouse, Which(), asked) for letter in page
    ]
    for name, most in (("PAGE_LETTERS", 4), ("PAGE_BYTES", 150)):
        monkeypatch.setattr(dead_letters, name, most)
        cut = [[(one.partition, one.offset) for one in page] for page in pages(shop.warehouse, Which(), asked)]
        assert [place for page in cut for place in page] == everything
        assert len(cut) > 4
    assert len(everything) == 18
    done, _ = replayed(shop)
    assert (done.taken, done.stored, done.refused) == (12, 12, 6)
    assert len(waiting(shop)) == 6


def test_what_was_stored_and_not_marked_is_known_to_the_next_replay(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(shop, buy(1), buy(2))
    with monkeypatch.context() as broken:
        broken.setattr(dead_letters, "_mark", _refuse)
        with pytest.raises(NotStored):
            replayed(shop)
    assert (len(stored(shop)), len(waiting(shop))) == (2, 2)
    done, _ = replayed(shop)
    assert (done.taken, done.stored, done.repeats, waiting(shop)) == (2, 0, 2, [])


def test_what_the_warehouse_refused_is_not_marked(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(shop, buy(1))
    insert = type(shop.warehouse).insert

    def refuse(self: object, table: str, *given: Any, **named: Any) -> None:
        _refuse() if table == "events" else insert(self, table, *given, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(type(shop.warehouse), "insert", refuse)
        broken.setattr(type(shop.warehouse), "insert_fenced", refuse, raising=False)
        with pytest.raises(NotStored):
            replayed(shop)
    assert waiting(shop) == ["kafka:events:new/0/1"]
    assert replayed(shop)[0].stored == 1


def _refuse(*_: object) -> None:
    raise NotStored("no room")


def test_an_event_that_was_sent_again_meanwhile_is_known_by_its_event_id(make_shop: Callable[..., Service]) -> None:
    shop = make_shop()
    body = json.dumps(BUY | {"event_id": "b1"}).encode()
    keep(shop, DeadLetter.of(EVENTS, 0, 1, REFUSED, body, NOON))
    mended = events_of_message(body, TODAY)
    assert not isinstance(mended, str)
    assert shop.writer.submit(Submission(mended)).result().rows == 1
    done, _ = replayed(shop)
    assert (done.taken, done.stored, done.repeats, waiting(shop)) == (1, 0, 1, [])


def test_an_item_goes_in_unless_a_newer_one_did(shop: Service) -> None:
    """The shop's clock stands at noon: the letters of tea are older than that, the one of pot is newer."""
    keep(
        shop,
        DeadLetter.of(ITEMS, 0, 1, "too large", b'{"item_id": "tea", "title": "old"}', NOON - timedelta(hours=1)),
        DeadLetter.of(ITEMS, 0, 2, "too large", b'{"item_id": "pot", "title": "new"}', NOON + timedelta(hours=1)),
        DeadLetter.of(ITEMS, 0, 3, "too large", b'{"item_id": "mug", "title": "only"}', NOON - timedelta(hours=1)),
    )
    shop.writer.submit(Submission([Item(item_id="tea", title="newest"), Item(item_id="pot", title="old")])).result()
    done, _ = replayed(shop)
    assert (done.taken, done.stored, done.overtaken, waiting(shop)) == (3, 2, 1, [])
    sql = (
        f"select item_id, argMax(title, version) from {shop.settings.database}.items group by item_id order by item_id"
    )
    assert shop.warehouse.trusted_rows(sql).data == [["mug", "only"], ["pot", "new"], ["tea", "newest"]]


def test_what_the_stream_refused_counts_once_it_can_be_read(make_shop: Callable[..., Service], kafka: Broker) -> None:
    topics = Topics(kafka)
    shop = make_shop(**topics.settings)
    topics.make()
    topics.send(*({"event_type": "view", "user_id": f"u{n}", "item_id": "tea"} for n in range(20)))
    topics.send(BUY, BUY | {"user_id": "other"}, b"\xff")
    topics.send({"item_id": 7}, items=True)
    stream = Stream(shop.writer, shop.settings)
    stream.start()
    until(lambda: stream.done.messages == 24)
    stream.stop()
    before = read_so_far(shop.warehouse)
    done, said = replayed(shop)
    assert (done.taken, done.stored, done.refused) == (2, 2, 2)
    assert {place.partition("/")[0] for place, _ in said} == {f"{topics.name}.events", f"{topics.name}.items"}
    again = Stream(shop.writer, shop.settings)
    again.start()
    topics.send({"event_type": "view", "user_id": "last", "item_id": "tea"})
    until(lambda: again.done.messages == 1)
    again.stop()
    assert len(stored(shop)) == 23
    assert sum(read_so_far(shop.warehouse).values()) == sum(before.values()) + 1, (
        "a replay does not move where reading is"
    )
    assert gaps(shop.warehouse) == []
    assert wrong_tables(shop) == {}


# The commands, on a folder and through the HTTP client


def bury(run: Run, *dead: DeadLetter) -> None:
    """Puts letters into the warehouse of a command."""
    lines = msgspec.json.Encoder().encode_lines(dead)
    run.python(
        f"""
        from alsobought.settings import from_environment
        from alsobought.service.service import open_service
        shop = open_service(from_environment())
        shop.warehouse.insert("dead_letters", {lines!r})
        shop.close()
        """
    )


def counted(run: Run) -> list[list[int]]:
    """Partition and offset of every event there is."""
    found = run.python(
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
    places: list[list[int]] = json.loads(found)
    return places


@pytest.fixture
def run(run_migrated: Run) -> Run:
    return run_migrated


@pytest.fixture(params=["folder", pytest.param("http", marks=pytest.mark.thorough)])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    if request.param == "folder":
        yield request.getfixturevalue("run_migrated")
        return
    with http_server() as dsn:
        migrate(Settings(dsn=dsn))
        yield running(tmp_path / "data", ALSOBOUGHT_DSN=dsn)


def test_letters_are_listed_shown_and_replayed(anywhere: Run) -> None:
    run = anywhere
    bury(run, buy(1042, partition=3), buy(7), poison(9, b'\xff[bold]"'))
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
    assert REFUSED in shown.out
    assert "kafka:events:new" in shown.out
    assert '\n  "event_type": "buy",\n' in shown.out
    shown = run("dead-letters", "show", "events/0/9")
    assert "00000000  ff 5b 62 6f 6c 64 5d 22" in shown.out
    assert '.[bold]"' in shown.out

    ran = run("dead-letters", "replay", "--reason", "'buy'")
    assert ran.status == 1
    assert "events/3/1042: event_type: 'buy' is not one of" in ran.err
    assert (
        ran.out == "0 of 2 dead letters replayed: 0 events and items stored, 0 known already; 2 still cannot be read\n"
    )

    types = {"ALSOBOUGHT_EVENT_TYPES": "buy"}
    ran = run("dead-letters", "replay", "--all", "--dry-run", **types)
    assert (
        ran.out == "2 of 3 dead letters would be replayed: 2 events and items would be stored; 1 still cannot be read\n"
    )
    assert (ran.status, counted(run)) == (1, [])
    ran = run("dead-letters", "replay", "--reason", "'buy'", **types)
    assert (ran.status, ran.out) == (0, "2 of 2 dead letters replayed: 2 events and items stored, 0 known already\n")
    ran = run("dead-letters", "replay", "events/3/1042", "events/0/7", "events/0/7", **types)
    assert (ran.status, ran.out) == (0, "2 of 2 dead letters replayed: 0 events and items stored, 2 known already\n")
    assert counted(run) == [[0, 7], [3, 1042]]
    ran = run("dead-letters", "replay", "--all", **types)
    assert (ran.status, ran.err.splitlines()[0].partition(": ")[0]) == (1, "events/0/9")

    lines = [json.loads(line) for line in run("dead-letters", "ls", "--json", "--all").out.splitlines()]
    assert {line["place"]: bool(line["replayed_at"]) for line in lines} == {
        "events/3/1042": True,
        "events/0/7": True,
        "events/0/9": False,
    }
    assert run("check").status == 0


def test_the_raw_bytes_are_what_kafka_had_and_nothing_else(run: Run) -> None:
    bury(run, poison(1, bytes(range(256)) + b"\r\n"))
    command = [sys.executable, "-m", "alsobought", "dead-letters", "show", "events/0/1", "--raw"]
    ran = subprocess.run(command, env=run.environment({}), capture_output=True, check=True)
    assert ran.stdout == bytes(range(256)) + b"\r\n"


@pytest.mark.thorough
def test_a_letter_does_nothing_to_the_terminal_that_shows_it(run: Run) -> None:
    evil = "\x1b]0;owned\x07[red]\x9b31m\u202e"
    letter = DeadLetter.of(EVENTS, 0, 1, f"{evil}: missing", f'{{"a": "{evil[5:]}"}}'.encode(), NOON)
    bury(run, letter, poison(2, evil.encode()))
    for words in (("show", "events/0/1"), ("show", "events/0/2"), ("replay", "--all"), ("ls",)):
        ran = run("dead-letters", *words)
        assert ran.out
        assert not {"\x1b", "\x07", "\x9b"} & {*ran.out, *ran.err}
    assert "[red]" in ran.out


def test_where_there_are_none_it_says_so(run: Run, tmp_path: Path) -> None:
    assert_error(running(tmp_path / "none")("dead-letters", "ls"), "there is no warehouse")
    assert run("dead-letters", "ls").out.startswith("There are no dead letters: ")
    assert "'tea' in its reason" in run("dead-letters", "ls", "--reason", "tea").out
    assert run("dead-letters", "ls", "--json").out == ""
    ran = run("dead-letters", "replay", "--all")
    assert (ran.status, ran.out) == (0, "There is nothing to replay\n")


def test_a_question_that_cannot_be_answered_is_one_sentence(run: Run) -> None:
    assert_error(run("dead-letters", "show", "events/0/1"), "no dead letter at events/0/1", "ls --all")
    assert_error(run("dead-letters", "show", "1042"), "'1042' is not a place", "events/3/1042")
    for words in ((), ("--all", "--reason", "x"), ("events/0/1", "--all")):
        assert_error(run("dead-letters", "replay", *words), "say which dead letters")
    assert_error(run("dead-letters", "replay", "events/0/1"), "no dead letter at events/0/1")


@pytest.mark.thorough
def test_killed_between_storing_and_marking_a_replay_is_run_again_and_counts_once(run: Run) -> None:
    bury(run, *(buy(offset, partition) for offset in range(5) for partition in (1, 4)))
    types = {"ALSOBOUGHT_EVENT_TYPES": "buy"}
    for point in ("ingest.after_insert", "letters.stored:2"):
        ran = run("dead-letters", "replay", "--all", **types, ALSOBOUGHT_FAILPOINT=point)
        assert ran.status == -signal.SIGKILL
    ran = run("dead-letters", "replay", "--all", **types)
    assert (ran.status, ran.out) == (0, "5 of 5 dead letters replayed: 0 events and items stored, 5 known already\n")
    assert counted(run) == [[partition, offset] for partition in (1, 4) for offset in range(5)]
    assert run("check").status == 0


def test_beside_a_running_service_everything_is_the_same(run: Run) -> None:
    bury(run, buy(1042, partition=3), buy(7), poison(9))
    looks = [("ls",), ("show", "events/3/1042"), ("show", "x/0/0"), ("replay", "--all", "--dry-run")]

    def said() -> list[CompletedRun]:
        """All but how long it took."""
        ran = [run("dead-letters", *words) for words in looks]
        return [
            replace(one, err=re.sub(r"(?m)^replay \N{BOX DRAWINGS HEAVY HORIZONTAL}.*\n", "", one.err)) for one in ran
        ]

    alone = said()
    with serving(run) as service:
        assert said() == alone
        ran = run("dead-letters", "replay", "--reason", "buy", ALSOBOUGHT_EVENT_TYPES="buy")
        assert (ran.status, ran.out) == (
            0,
            "2 of 2 dead letters replayed: 2 events and items stored, 0 known already\n",
        )
        again = run("dead-letters", "replay", "events/3/1042", ALSOBOUGHT_EVENT_TYPES="buy")
        assert "0 events and items stored, 1 known already" in again.out
        seen = service.ask("/pipes/recently_viewed?user_id=u")
        assert seen[0] == 200
        service.stop()
    assert counted(run) == [[0, 7], [3, 1042]]
