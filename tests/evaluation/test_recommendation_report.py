"""The report on recommendations of a log so small that its numbers are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from alsobought.evaluation.recommendation_report import markdown, recommendation_report
from alsobought.events import Event
from alsobought.recommendation_ids import Placement
from alsobought.service.service import Service
from alsobought.serving.answers import answer
from alsobought.writer.submission import Submission
from tests.conftest import NOON

BEGIN, SHOWN = NOON - timedelta(days=1), NOON - timedelta(hours=2)


def test_a_report_has_the_numbers_of_its_events_and_what_is_not_sent(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(lambda: NOON)
    listed = shop.recommendations.mint(Placement("popular", "v1", "home"), SHOWN)
    shop.recommendations.flush()
    events = [
        Event(
            event_type=kind, user_id=user, item_id=item, price=price, order_id=order, recommendation_id=of, timestamp=at
        )
        for kind, user, item, price, order, of, at in (
            ("impression", "ada", "tea", 0, "", listed, SHOWN),
            ("impression", "ada", "mug", 0, "", listed, SHOWN),
            ("click", "ada", "tea", 0, "", listed, SHOWN + timedelta(minutes=1)),
            ("purchase", "ada", "tea", 10, "o1", "", SHOWN + timedelta(minutes=2)),
            ("purchase", "bo", "mug", 30, "o2", "", SHOWN),
        )
    ]
    shop.writer.submit(Submission(events)).result()

    def ask(pipe: str, parameters: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        raw = {name: [value] for name, value in parameters.items()}
        return list(answer(shop.library, shop.warehouse, pipe, raw, NOON).dicts())

    report = recommendation_report(ask, BEGIN, NOON, "surface")
    lines = markdown(report).splitlines()
    for line in (
        "| impressions | 2 |",
        "| click-through rate | 50.0 % (9.5 to 90.5) |",
        "| revenue after a click | 10.00 |",
        "| average order, with recommendations | 10.00 |",
        "| average order, without | 30.00 |",
        "| share of the shop's revenue | 25.0 % |",
        "* without position: 2 (100.0 %)",
    ):
        assert line in lines, markdown(report)
    assert [line for line in lines if line.startswith("| home | 2 | 50.0 % (9.5 to 90.5) | 100.0 %")]
    assert report.missing == ["2 impressions have no position. Send `position`, from 1"]
