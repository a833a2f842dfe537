"""`alsobought doctor`: what is wrong with this installation."""

from __future__ import annotations

import os
import sys

import click

from alsobought.console import escaped, out, print_json

COLOURS = {"ok": "green", "warning": "yellow", "fault": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def doctor(as_json: bool) -> None:
    """Say what is wrong and what to do. Exit status 1 if anything is a fault; nothing is changed.

    \b
    Example: alsobought doctor
    """
    from alsobought.diagnostics.doctor import examine
    from alsobought.diagnostics.findings import Finding

    findings: list[Finding] = []
    for finding in examine(os.environ):
        findings.append(finding)
        if not as_json:
            colour, advice = COLOURS[finding.state], f". {finding.advice}" if finding.advice else ""
            told = escaped(f"{finding.matter:10} {finding.found}{advice}")
            out.print(f"[{colour}]{finding.state:7}[/] {told}", soft_wrap=True)
    if as_json:
        print_json(findings)
    if any(finding.state == "fault" for finding in findings):
        sys.exit(1)
