"""The append log: what was posted is read again after a crash, once, in order; what is stored is deleted."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from alsobought.errors import NotStored
from alsobought.events import Event
from alsobought.writer import append_log
from alsobought.writer.append_log import AppendLog
from alsobought.writer.submission import Submission

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def opened(folder: Path, min_free: int = 0) -> AppendLog:
    return AppendLog(folder, min_free, lambda: NOON)


def posted(*items: str) -> Submission:
    return Submission([Event(event_type="view", item_id=item, user_id="u") for item in items])


def items_of(submissions: list[Submission]) -> list[list[str]]:
    return [[event.item_id for event in cast(Sequence[Event], submission.rows)] for submission in submissions]


def segments(folder: Path) -> list[Path]:
    return sorted((folder / append_log.FOLDER).glob("*"))


def test_posts_are_read_again_in_order_with_their_offsets_and_times(tmp_path: Path) -> None:
    log = opened(tmp_path)
    first, second = posted("tea", "mug"), posted("pot")
    first.rows[1].timestamp = NOON - timedelta(days=1)  # type: ignore[union-attr]
    log.append(first)
    log.append(second)
    again = opened(tmp_path).read_unstored(-1)
    assert items_of(again) == [["tea", "mug"], ["pot"]]
    assert [list(submission.offsets or ()) for submission in again] == [
        list(first.offsets or ()),
        list(second.offsets or ()),
    ]
    assert [event.timestamp for event in again[0].rows] == [NOON, NOON - timedelta(days=1)]  # type: ignore[union-attr]
    assert again[0].sent_at
    assert list(again[0].sent_at()) == [NOON, NOON]


def test_only_posts_above_the_stored_offset_are_read_again_and_later_ones_get_higher_offsets(tmp_path: Path) -> None:
    log = opened(tmp_path)
    submissions = [posted("tea"), posted("mug"), posted("pot")]
    for submission in submissions:
        log.append(submission)
    again = opened(tmp_path)
    assert items_of(again.read_unstored(submissions[0].last_offset)) == [["mug"], ["pot"]]
    later = posted("jug")
    again.append(later)
    assert later.offsets
    assert later.offsets[0] > submissions[-1].last_offset


def test_what_is_stored_is_deleted(tmp_path: Path) -> None:
    log = opened(tmp_path)
    first, second = posted("tea"), posted("mug")
    log.append(first)
    log.append(second)
    log.mark_stored(first.last_offset)
    assert items_of(opened(tmp_path).read_unstored(first.last_offset)) == [["mug"]]
    log.mark_stored(second.last_offset)
    assert [path.stat().st_size for path in segments(tmp_path)] == [0]
    log.close()
    assert segments(tmp_path) == []


def test_a_full_segment_is_closed_and_deleted_while_posts_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(append_log, "SEGMENT_BYTES", 200)
    log = opened(tmp_path)
    submissions = [posted(f"item{number}") for number in range(10)]
    for submission in submissions:
        log.append(submission)
    assert len(segments(tmp_path)) > 2
    log.mark_stored(submissions[-2].last_offset)
    assert len(segments(tmp_path)) == 1
    assert items_of(opened(tmp_path).read_unstored(submissions[-2].last_offset)) == [["item9"]]


def test_after_rotate_earlier_posts_do_not_stay_for_later_ones(tmp_path: Path) -> None:
    log = opened(tmp_path)
    first, second = posted("tea"), posted("mug")
    log.append(first)
    log.rotate()
    log.append(second)
    log.mark_stored(first.last_offset)
    (left,) = segments(tmp_path)
    assert b"tea" not in left.read_bytes()
    assert b"mug" in left.read_bytes()


def test_a_line_that_a_kill_cut_short_was_never_answered_and_is_dropped(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append(posted("tea"))
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes() + b'{"offset": 9, "received_at"')
    again = opened(tmp_path)
    assert items_of(again.read_unstored(-1)) == [["tea"]]
    again.append(posted("mug"))
    assert items_of(opened(tmp_path).read_unstored(-1)) == [["tea"], ["mug"]]


def test_a_damaged_line_is_reported_and_kept_and_the_others_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = opened(tmp_path)
    last = posted("mug")
    log.append(posted("tea"))
    log.append(last)
    (path,) = segments(tmp_path)
    damaged = path.read_bytes().replace(b'"item_id"', b'"item\0_id"', 1)
    path.write_bytes(damaged)
    again = opened(tmp_path)
    with caplog.at_level(logging.ERROR):
        assert items_of(again.read_unstored(-1)) == [["mug"]]
    assert "1 posts" in caplog.text
    again.mark_stored(last.last_offset)
    (kept,) = segments(tmp_path)
    assert (kept.suffix, kept.read_bytes()) == (".damaged", damaged)


def test_a_post_that_does_not_fit_on_the_disk_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(tmp_path)
    log.append(posted("tea"))
    write, parts = os.write, iter([5])

    def full(file: int, data: bytes) -> int:
        for length in parts:
            return write(file, data[:length])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(NotStored, match="No space left on device"):
        log.append(posted("mug"))
    monkeypatch.setattr(os, "write", write)
    log.append(posted("pot"))
    assert items_of(opened(tmp_path).read_unstored(-1)) == [["tea"], ["pot"]]


def test_a_nearly_full_disk_refuses_posts(tmp_path: Path) -> None:
    with pytest.raises(NotStored, match="not enough space"):
        opened(tmp_path, min_free=2**62).append(posted("tea"))
