"""Manifests: sealed, and safe to restore."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from alsobought.backup.manifest import Facts, Manifest, StoredFile, decode, encode
from alsobought.errors import Unusable

FACTS = Facts(
    alsobought="1",
    engine="26.9",
    database="shop",
    warehouse="u",
    events=3,
    last_batch=9,
    newest_event_at=None,
    kafka=[],
)
MANIFEST = Manifest(
    id="20260301T040506Z",
    created_at=datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC),
    seconds=1.5,
    pause_seconds=0.01,
    new_bytes=7,
    facts=FACTS,
    files=[StoredFile("store/a/data.bin", 7, "ab" * 32), StoredFile("metadata/shop.sql", 5, "cd" * 32)],
    links={"metadata/shop": "../store/a"},
    folders=["metadata_dropped"],
)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert decode(encode(MANIFEST), "m") == MANIFEST
    assert MANIFEST.bytes == 12


def test_a_flipped_byte_in_a_manifest_is_noticed() -> None:
    text = encode(MANIFEST)
    at = text.index(b'"events":3') + 9
    with pytest.raises(Unusable, match="the manifest of the backup m is damaged"):
        decode(text[:at] + b"4" + text[at + 1 :], "m")
    with pytest.raises(Unusable, match="is damaged"):
        decode(text[:-5], "m")


def test_a_manifest_of_a_newer_version_is_refused() -> None:
    newer = msgspec.structs.replace(MANIFEST, format=3)
    with pytest.raises(Unusable, match="was written by a newer version"):
        decode(encode(newer), "m")


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside", "store/../../outside", ""])
def test_a_manifest_whose_paths_lead_out_of_the_folder_is_refused(path: str) -> None:
    for changed in (
        msgspec.structs.replace(MANIFEST, files=[StoredFile(path, 1, "ab" * 32)]),
        msgspec.structs.replace(MANIFEST, links={path: "x"}),
        msgspec.structs.replace(MANIFEST, folders=[path]),
    ):
        with pytest.raises(Unusable, match="is damaged"):
            decode(encode(changed), "m")
