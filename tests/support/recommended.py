"""Recommendation ids that events of property tests bring back: writers in those tests read ids with a secret that is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from alsobought.recommendation_ids import Placement, RecommendationIds

IDS = RecommendationIds(["x" * 32], "tests", timedelta(days=7))
AT = datetime(2025, 11, 30, 22, tzinfo=UTC)
LISTS = {
    IDS.mint(placement, at): (placement.key, at)
    for placement, at in (
        (Placement("popular", "1"), AT),
        (Placement("for_you", "2", "home", "order", "treated"), AT + timedelta(hours=2)),  # after some of the events
        (Placement("popular", "1"), AT - timedelta(days=7)),  # too old for some of them
    )
}
SENT = ["", "", *LISTS, "forged"]


def placement_of(recommendation_id: str, timestamp: datetime) -> tuple[int, datetime]:
    """What the writer stamps on an event of this time, if the placement counts."""
    placement, at = LISTS.get(recommendation_id, (0, AT))
    counts = timedelta(minutes=-5) <= timestamp - at <= timedelta(days=7)
    return (placement, at) if counts else (0, AT)
