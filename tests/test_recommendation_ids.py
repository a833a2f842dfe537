"""Recommendation ids: what they say, and which ones say nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alsobought.recommendation_ids import FORGED, LENGTH, Placement, RecommendationIds, recommendation_ids
from alsobought.settings import Settings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRET, OTHER = "s" * 32, "o" * 32
PLACEMENT = Placement("also_bought", "v1", "cart", "ranked", "control")


def ids(*secrets: str, shop: str = "shop") -> RecommendationIds:
    return RecommendationIds(secrets, shop, timedelta(days=7))


def test_an_id_says_when_and_where_its_list_was_shown() -> None:
    text = ids(SECRET).mint(PLACEMENT, NOON)
    assert len(text) == LENGTH
    assert ids(SECRET).read(text, NOON) == (PLACEMENT.key, NOON)


def test_equal_answers_have_ids_of_their_own() -> None:
    assert len({ids(SECRET).mint(PLACEMENT, NOON) for _ in range(100)}) == 100


@pytest.mark.parametrize("change", ["surface", "experiment", "variant", "version"])
def test_the_key_of_a_placement_depends_on_all_of_it(change: str) -> None:
    fields = {"pipe": "also_bought", "version": "v1", "surface": "", "experiment": "", "variant": ""}
    assert Placement(**fields).key != Placement(**fields | {change: "x"}).key


def test_a_changed_id_is_forged() -> None:
    text = ids(SECRET).mint(PLACEMENT, NOON)
    for place in range(LENGTH):
        letter = "A" if text[place] != "A" else "B"
        assert ids(SECRET).read(text[:place] + letter + text[place + 1 :], NOON) == FORGED


@pytest.mark.parametrize("text", ["", "short", "é" * LENGTH, "=" * LENGTH, "x" * (LENGTH + 4), "\0" * LENGTH])
def test_any_other_text_is_forged(text: str) -> None:
    assert ids(SECRET).read(text, NOON) == FORGED


def test_the_id_of_another_shop_is_forged() -> None:
    assert ids(SECRET, shop="other").read(ids(SECRET).mint(PLACEMENT, NOON), NOON) == FORGED


def test_secrets_rotate() -> None:
    text = ids(OTHER).mint(PLACEMENT, NOON)
    assert ids(SECRET, OTHER).read(text, NOON) == (PLACEMENT.key, NOON)
    assert ids(SECRET).read(text, NOON) == FORGED


@pytest.mark.parametrize(
    ("age", "valid"),
    [
        (timedelta(days=7), True),
        (timedelta(days=7, seconds=1), False),
        (-timedelta(minutes=5), True),
        (-timedelta(hours=1), False),
    ],
)
def test_an_id_expires_and_nobody_uses_it_before_it_is_made(age: timedelta, valid: bool) -> None:
    text = ids(SECRET).mint(PLACEMENT, NOON)
    assert ids(SECRET).read(text, NOON + age) == (PLACEMENT.key if valid else 0, NOON)


def test_without_a_secret_there_are_no_ids() -> None:
    assert ids().mint(PLACEMENT, NOON) == ""
    assert ids().read(ids(SECRET).mint(PLACEMENT, NOON), NOON) == FORGED


def test_on_a_server_ids_need_the_setting() -> None:
    assert recommendation_ids(Settings(), None, embedded=False).mint(PLACEMENT, NOON) == ""
    with_secret = recommendation_ids(Settings(token_secret=SECRET), None, embedded=False)
    assert with_secret.read(with_secret.mint(PLACEMENT, NOON), NOON).placement == PLACEMENT.key
