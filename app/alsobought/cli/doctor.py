"""`alsobought doctor`: examine this installation."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from alsobought.console import escaped, out, print_json

if TYPE_CHECKING:
    from alsobought.diagnostics.findings import Finding

COLOURS = {"ok": "green", "warning": "yellow", "fault": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Check this installation and advise how to fix it. Exit status 1 on any fault; changes nothing.

    \b
    Example: alsobought doctor
    """
    from alsobought.diagnostics.doctor import examine

    findings: list[Finding] = []
    for finding in examine(os.environ):
        findings.append(finding)
        if not as_json:
            advice = f". {finding.advice}" if finding.advice else ""
            line = escaped(f"{finding.check:10} {finding.message}{advice}")
            out.print(f"[{COLOURS[finding.state]}]{finding.state:7}[/] {line}", soft_wrap=True)
    if as_json:
        print_json([_json_object(finding) for finding in findings])
    if any(finding.state == "fault" for finding in findings):
        sys.exit(1)


def _json_object(finding: Finding) -> dict[str, str]:
    """`matter` and `found` are deprecated names of `check` and `message`."""
    return asdict(finding) | {"matter": finding.check, "found": finding.message}
