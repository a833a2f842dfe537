"""The batch builder, without a database: which rows a batch gets, and the outcome of each submission."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from alsobought.events import Event
from alsobought.recommendation_ids import RecommendationIds
from alsobought.storage.identities import Identities
from alsobought.writer.batching import Batch, batch_token, build_batch
from alsobought.writer.duplicates import Duplicates
from alsobought.writer.submission import Stored, Submission

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
IDS = RecommendationIds(["x" * 32], "shop", timedelta(days=7))
NO_DUPLICATES, NO_IDENTITIES = Duplicates(), Identities()


def view(event_id: str = "", user_id: str = "ada", timestamp: datetime | None = None) -> Event:
    event = Event(event_type="view", item_id="tea", event_id=event_id, user_id=user_id)
    return msgspec.structs.replace(event, timestamp=timestamp) if timestamp else event


def build(
    *submissions: Submission, duplicates: Duplicates = NO_DUPLICATES, identities: Identities = NO_IDENTITIES
) -> tuple[Batch | None, list[Stored]]:
    return build_batch(
        submissions,
        first_seq=100,
        epoch=7,
        now=NOON,
        duplicates=duplicates,
        identities=identities,
        recommendations=IDS,
    )


def event_ids(batch: Batch | None) -> list[str]:
    return [row.event_id for row in batch.rows] if batch else []


def kafka(events: Sequence[Event], offsets: Sequence[int], partition: int = 0) -> Submission:
    return Submission(events, "kafka:events", offsets, partition=partition)


def test_events_get_consecutive_seqs_and_the_number_of_the_batch_is_the_first() -> None:
    batch, outcomes = build(Submission([view("a"), view("b")]), Submission([view("c")]))
    assert batch
    assert [(row.seq, row.offset, row.batch, row.epoch) for row in batch.rows] == [
        (100, 100, 100, 7),
        (101, 101, 100, 7),
        (102, 102, 100, 7),
    ]
    assert batch.token == batch_token("post", 0, 100, 102, 100, 7)
    assert outcomes == [Stored(2, 0, NOON, 2), Stored(1, 0, NOON, 1)]


def test_lines_are_the_rows_without_defaults() -> None:
    batch, _ = build(Submission([view("a")]))
    assert batch
    line = msgspec.json.decode(batch.lines)
    assert line["event_id"] == "a"
    assert "category" not in line, "the table's default takes it from the catalogue"


def test_duplicates_in_the_window_in_the_batch_and_in_a_submission_are_dropped() -> None:
    batch, outcomes = build(
        Submission([view("old"), view("a"), view("a")]),
        Submission([view("a"), view("b")]),
        duplicates=Duplicates(frozenset({"old"})),
    )
    assert event_ids(batch) == ["a", "b"]
    assert [(stored.rows, stored.duplicates) for stored in outcomes] == [(1, 2), (1, 1)]


def test_a_dropped_event_takes_its_seq_all_the_same() -> None:
    batch, _ = build(Submission([view("old"), view("a")]), duplicates=Duplicates(frozenset({"old"})))
    assert batch
    assert [row.seq for row in batch.rows] == [101]
    assert batch.token == batch_token("post", 0, 101, 101, 100, 7)


def test_without_new_events_there_is_no_batch() -> None:
    batch, outcomes = build(Submission([view("old")]), duplicates=Duplicates(frozenset({"old"})))
    assert batch is None
    assert outcomes == [Stored(0, 1, NOON, 0)]


def test_an_event_without_id_gets_one_from_its_position_and_is_dropped_by_its_offset() -> None:
    submission = kafka([view(), view(), view()], [7, 8, 8], partition=3)
    assert event_ids(build(submission)[0]) == ["kafka:events:3:7", "kafka:events:3:8", "kafka:events:3:8:1"]
    batch, outcomes = build(submission, duplicates=Duplicates(offsets=frozenset({(3, 8)})))
    assert event_ids(batch) == ["kafka:events:3:7"]
    assert outcomes == [Stored(1, 2, NOON, 2)], "offsets that are stored already count as stored"


def test_an_offset_of_another_partition_is_no_duplicate() -> None:
    batch, _ = build(kafka([view("a")], [8], partition=1), duplicates=Duplicates(offsets=frozenset({(0, 8)})))
    assert event_ids(batch) == ["a"]


def test_events_of_a_merged_guest_are_the_accounts() -> None:
    guest = Event(event_type="view", item_id="tea", session_id="s1")
    batch, _ = build(Submission([guest, view()]), identities=Identities({"s1": "bruno"}))
    assert batch
    assert [(row.user_id, row.session_id) for row in batch.rows] == [("bruno", "s1"), ("ada", "")]


def test_events_from_before_a_user_was_forgotten_are_dropped() -> None:
    events = [view("before", timestamp=NOON - 2 * HOUR), view("after", timestamp=NOON), view("now")]
    forgotten = Identities(forgotten={"ada": NOON - HOUR})
    batch, outcomes = build(Submission(events), identities=forgotten)
    assert event_ids(batch) == ["after", "now"]
    assert (outcomes[0].rows, outcomes[0].duplicates) == (2, 1)


def test_events_that_kafka_had_before_a_user_was_forgotten_are_dropped_whatever_their_timestamp() -> None:
    submission = kafka([view("a", timestamp=NOON), view("b", timestamp=NOON)], [0, 1])
    submission.sent_at = lambda: [NOON - 2 * HOUR, NOON]
    batch, _ = build(submission, identities=Identities(forgotten={"ada": NOON - HOUR}))
    assert event_ids(batch) == ["b"]
