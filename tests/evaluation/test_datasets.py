"""Data sets as sources of a log."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alsobought.demo.datasets import marketplace
from alsobought.demo.datasets.registry import REGISTRY
from alsobought.demo.datasets.tastes import Recipe
from alsobought.errors import Unusable
from alsobought.evaluation.baselines.registry import create_baseline
from alsobought.evaluation.gates import read_gates
from alsobought.evaluation.log import Collector, Split
from alsobought.evaluation.sources import open_source
from alsobought.evaluation.tasks import task_queries
from alsobought.settings import Settings

SMALL = Recipe(users=60, items=300, topics=6, days=21, late=0.5, evergreen=0.3)
DAY = datetime(2025, 9, 15, tzinfo=UTC)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = replace(REGISTRY["marketplace"], read=lambda: marketplace.read(SMALL, 3))
    monkeypatch.setitem(REGISTRY, "marketplace", dataset)


def test_a_source_has_the_events_before_a_moment_and_the_catalogue_at_it(small: None) -> None:
    with open_source(Settings(), "marketplace") as source:
        assert source.split(None, 7).train_before == datetime(2025, 9, 15, tzinfo=UTC)
        events = [event for batch in source.batches(DAY) for event in batch]
        assert len(events) == source.size(DAY) < source.size(source.ends)
        assert max(event.timestamp for event in events) < DAY  # type: ignore[type-var, operator]
        catalogue = source.catalogue(DAY)
        assert {item.published_at < DAY for item in catalogue} == {True}  # type: ignore[operator]
        assert {item.available is False for item in catalogue} == {True, False}


def test_no_baseline_shows_what_is_not_available(small: None) -> None:
    with open_source(Settings(), "marketplace") as source:
        collector = Collector(Split(DAY, 7), "view")
        for batch in source.batches(DAY + timedelta(days=7)):
            collector.add(batch)
        log = collector.log()
        gone = frozenset(item.item_id for item in source.catalogue(DAY) if item.available is False)
    baseline = create_baseline("popularity", "next")
    baseline.fit(log.past, {}, "next")
    queries = task_queries(log, "next")
    shown = {item for items in baseline.recommend(queries, 10) for item in items}
    assert shown & gone
    queries = [replace(query, unavailable=gone) for query in queries]
    assert not {item for items in baseline.recommend(queries, 10) for item in items} & gone


def test_an_unknown_data_set_is_an_error_that_names_the_others(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"no data set 'films'.*movielens-100k"), open_source(Settings(), "films"):
        pass
    gate = tmp_path / "gate.yaml"
    gate.write_text("{pipe: for_you, dataset: films, floor: {recall: 0.1}}")
    with pytest.raises(Unusable, match="dataset: 'films' is not one of journey"):
        read_gates([gate])
