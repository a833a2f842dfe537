"""Examine an installation: run every check, the quick ones first, and yield their findings.

No check changes rows or files. But an engine that opens a damaged folder sets aside the parts that it cannot read,
whichever command opens it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping

from alsobought.diagnostics.cluster_checks import check_cluster
from alsobought.diagnostics.connection_checks import check_connections, check_registry, check_secret_files
from alsobought.diagnostics.findings import Finding
from alsobought.diagnostics.host_checks import check_disk, check_home, check_port, check_settings, check_webhooks
from alsobought.diagnostics.isolation import run_check, run_in_process
from alsobought.diagnostics.replica_checks import check_replicas
from alsobought.diagnostics.warehouse_checks import check_pipes_in_memory, check_warehouse
from alsobought.settings import read_settings


def examine(environ: Mapping[str, str]) -> Iterator[Finding]:
    """The findings for the settings in this environment. Never raises: a failed check is a finding."""
    settings, faults = read_settings(environ)
    yield Finding("python", "ok", platform.python_version())
    yield from check_settings(environ, faults)
    yield from run_check("secrets", lambda _: check_secret_files(environ), settings)
    before_the_warehouse = (
        ("home", check_home),
        ("port", check_port),
        ("webhooks", check_webhooks),
        ("disk", check_disk),
        ("connection", check_connections),
        ("registry", check_registry),
        ("replicas", check_replicas),
    )
    for name, one in before_the_warehouse:
        yield from run_check(name, one, settings)
    check = check_cluster if settings.whole_cluster else check_warehouse
    findings = list(run_in_process("warehouse", check, settings))
    yield from findings
    if "pipes" not in [finding.check for finding in findings]:  # no warehouse to check them against
        yield from run_in_process("pipes", check_pipes_in_memory, settings)
