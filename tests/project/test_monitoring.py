"""The alerts and the dashboard of deploy/ ask for metrics and labels that the service has, and for nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml

from docs.generate import label_names, metric_families
from tests.support.project import ROOT

SERIES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",), "gauge": ("",)}
OF_PROMETHEUS = {"job", "instance", "le", "version"}


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    alert: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    duration: str = msgspec.field(default="0s", name="for")


class Group(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    rules: list[Rule]


def rules() -> list[Rule]:
    read = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    (group,) = msgspec.convert(read["groups"], list[Group])
    return group.rules


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ROOT / "deploy" / "grafana" / "alsobought.json").read_text())["panels"]
    return found


def asked() -> Iterator[tuple[str, str]]:
    """Where a query stands, and the query."""
    for rule in rules():
        yield rule.alert, rule.expr
    for panel in panels():
        for target in panel.get("targets", ()):
            yield str(panel["title"]), target["expr"]


def exposed() -> dict[str, tuple[str, ...]]:
    """{series of /metrics: its labels}"""
    families = metric_families()
    return {family.name + suffix: label_names(family) for family in families for suffix in SERIES[family.type]}


def test_a_query_asks_for_metrics_and_labels_that_the_service_has() -> None:
    series = exposed()
    for where, query in asked():
        names = re.findall(r"\balsobought_\w+", re.sub(r'"[^"]*"', '""', query))
        assert names or query.startswith("up{"), where
        assert set(names) <= set(series), where
        known = {label for name in names for label in series[name]} | OF_PROMETHEUS
        labels = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"", query))
        for grouped in re.findall(r"\b(?:by|on) \(([^)]*)\)", query):
            labels |= {label.strip() for label in grouped.split(",")}
        assert labels <= known, where
        assert query.count("(") == query.count(")"), where


def test_every_label_that_a_text_of_an_alert_shows_is_left_by_its_query() -> None:
    for rule in rules():
        shown = set(re.findall(r"\$labels\.(\w+)", " ".join(rule.annotations.values())))
        grouped = re.match(r"sum by \(([^)]*)\)", rule.expr)
        left = {label.strip() for label in grouped[1].split(",")} if grouped else {"name"}
        assert shown <= left, rule.alert


def test_every_alert_has_a_severity_a_sentence_and_an_action() -> None:
    assert len({rule.alert for rule in rules()}) == len(rules()) > 20
    for rule in rules():
        assert rule.labels["severity"] in ("page", "ticket"), rule.alert
        assert set(rule.annotations) == {"summary", "action"}
        assert all(text.endswith(".") or text.endswith("?") for text in rule.annotations.values()), rule.alert
        assert re.fullmatch(r"\d+[sm]", rule.duration), rule.alert


@pytest.mark.parametrize(
    "metric",
    [
        "ready",
        "writer_running",
        "disk_free_bytes",
        "broken_parts",
        "check_wrong_rows",
        "kafka_lag",
        "kafka_halted",
        "pipe_requests_total",
        "pipe_seconds_bucket",
        "rows_total",
        "turned_away_requests_total",
        "backup_time_seconds",
        "scrub_time_seconds",
        "learned_time_seconds",
    ],
)
def test_what_can_go_wrong_has_an_alert_and_a_panel(metric: str) -> None:
    name = f"alsobought_{metric}"
    assert any(re.search(rf"\b{name}\b", rule.expr) for rule in rules())
    assert any(re.search(rf"\b{name}\b", query) for where, query in asked() if not where.startswith("Alsobought"))


def test_the_panels_do_not_overlap_and_each_has_a_number_of_its_own() -> None:
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    cells = [
        (place["x"] + column, place["y"] + row)
        for place in (panel["gridPos"] for panel in panels())
        for column in range(place["w"])
        for row in range(place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) == 23
