"""Guests whom messages name with an account: each pair is merged, known, or refused alone."""

from __future__ import annotations

import pytest

from alsobought.events import Event
from alsobought.service.service import Service
from alsobought.storage.identities import unmerged
from alsobought.writer.submission import Submission
from tests.support.web import stored, wrong_tables


@pytest.mark.thorough
def test_a_refused_merge_does_not_affect_the_others(shop: Service) -> None:
    views = [
        Event(event_type="view", user_id=user, item_id="tea", session_id="s") for user in ("g1", "g2", "ada", "eve")
    ]
    shop.writer.submit(Submission(views)).result()
    pairs = [("g1", "ada"), ("g1", "eve"), ("g2", "g2"), ("new", "g1"), ("g2", "eve")]
    assert unmerged(shop.warehouse, [*pairs, *pairs]) == pairs, "each once"
    problems = shop.do("merge guests", pairs)
    assert problems == [
        "",
        "'g1' was merged into 'ada'. Merge that account if it is the same user; if not, unmerge 'g1' first (POST /users/unmerge)",
        "'g2' is 'g2'. Name a guest and another user",
        "",
        "",
    ]
    assert sorted(stored(shop, "user_id")) == ["ada", "ada", "eve", "eve"]
    assert unmerged(shop.warehouse, pairs) == [("g1", "eve")], "the account of g1 is ada, and new is ada's, too"
    assert wrong_tables(shop) == {}
