"""What experiments show, for the workbench: the list, and the decision of one."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from flask import Blueprint, Response, current_app

from alsobought.errors import NoSuchExperiment
from alsobought.experimentation import words
from alsobought.experimentation.preference_words import preference_facts, preference_points
from alsobought.experimentation.report import Comparison, Report, VariantResult
from alsobought.experimentation.wording import percent
from alsobought.service.experiment_monitor import ExperimentMonitor
from alsobought.surfaces.experiment import Experiment
from alsobought.web.context import service
from alsobought.web.workbench_endpoints import require_workbench, uncached_response

blueprint = Blueprint("experiments", __name__, url_prefix="/workbench/experiments")


def experiment_monitor() -> ExperimentMonitor:
    return cast(ExperimentMonitor, current_app.extensions["experiments"])


@blueprint.route("")
def show_experiments() -> Response:
    """The experiments of the project, and how far each is: what runs first, then the newest."""
    require_workbench()
    known, now = service().surfaces.current().experiments.by_name, service().clock()
    ordered = sorted(known.values(), key=lambda one: (one.is_running(now), one.since), reverse=True)
    return uncached_response({"experiments": [_described(one) for one in ordered]})


@blueprint.route("/<name>")
def show_experiment(name: str) -> Response:
    """The decision of an experiment, at most half a minute old."""
    require_workbench()
    report = experiment_monitor().report(name)
    if report is None:
        known = service().surfaces.current().experiments.by_name
        there = f"There are {', '.join(sorted(known))}" if known else "sql/experiments.yaml has none"
        raise NoSuchExperiment(f"there is no experiment {name[:60]!r}", there)
    return uncached_response(_body(report))


def _described(experiment: Experiment) -> dict[str, Any]:
    now = service().clock()
    state = "running" if experiment.is_running(now) else "planned" if now.date() < experiment.since else "ended"
    return {
        "name": experiment.name,
        "surface": experiment.surface,
        "state": state,
        "variants": [variant.name for variant in experiment.variants],
    }


def _body(report: Report) -> dict[str, Any]:
    """The report with its sentences, so that page and command line say the same."""
    body: dict[str, Any] = msgspec.to_builtins(report)
    body |= {
        "headline": words.headline(report),
        "advice": words.advice(report),
        "holdout_sentence": words.holdout_sentence(report),
        "split_broken": report.is_split_broken,
    }
    if preference := report.preference:
        facts = [f"{name}: {text}" for name, text in preference_facts(report, preference)]
        return body | {"preference": {"points": preference_points(preference), "facts": facts}}
    for variant, result in zip(body["variants"], report.variants, strict=True):
        variant.update(_sentences(report, result))
    for ratio, split in zip(body["sample_ratios"], report.sample_ratios, strict=True):
        ratio["sentence"] = words.ratio_sentence(split)
    return body


def _sentences(report: Report, result: VariantResult) -> dict[str, Any]:
    return {
        "sentence": words.variant_sentence(report, result) if result.verdict else "",
        "row": words.variant_rows(report)[report.variants.index(result)],
        "precision": _precision(result.comparison),
        "guardrail_sentences": [words.guardrail_sentence(one) for one in result.guardrails],
    }


def _precision(comparison: Comparison | None) -> str:
    if not comparison or comparison.detectable is None:
        return ""
    return (
        f"A lift of {percent(comparison.detectable)} would be found by now in four of five experiments; wanted is"
        f" {percent(comparison.wanted)}. What they did before explains {percent(comparison.reduction)} of the variance."
    )
