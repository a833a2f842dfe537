"""Licences, advisories, the bill of materials and digests: what is not known, or not allowed, is found."""

from __future__ import annotations

import json
import sys
import tomllib
from datetime import date
from pathlib import Path

import msgspec
import pytest

from supply_chain import audit, digests, licences, sbom
from supply_chain.locks import DEVELOPMENT, ROOT, SERVICE, locked, normalized

TODAY = date(2026, 6, 1)
REPORT = {
    "dependencies": [
        {"name": "flask", "version": "3.1.0", "vulns": []},
        {
            "name": "jinja2",
            "version": "3.1.6",
            "vulns": [{"id": "GHSA-1", "aliases": ["CVE-1"], "fix_versions": ["3.1.7"], "description": "…"}],
        },
    ],
    "fixes": [],
}
GUARDS = (
    "chdb",
    "clickhouse-connect",
    "flask",
    "google-re2",
    "gunicorn",
    "h11",
    "jinja2",
    "msgspec",
    "pyjwt",
    "sqlglot",
)
"""Packages on which a protection rests: a new major version is read before it is used."""


def test_every_locked_package_has_an_allowed_licence() -> None:
    known, names = licences.recorded(), locked(SERVICE, DEVELOPMENT)
    assert licences.faults(known, names) == []
    assert set(known.packages) == names, "run `make licences`"
    assert not set(known.exceptions) & locked(SERVICE), "what a service installs has no exception"


def test_the_recorded_licences_are_those_of_the_installed_packages() -> None:
    known = licences.recorded()
    renewed = licences.renewed(known, licences.installed(), known.packages)
    assert renewed == known.packages, "run `make licences`"


@pytest.mark.parametrize("licence", ["UNKNOWN", "AGPL-3.0-only", "MIT AND GPL-3.0-only", "Some text"])
def test_a_package_without_an_allowed_licence_is_found(licence: str) -> None:
    known = licences.recorded()
    with_new = msgspec.structs.replace(known, packages={**known.packages, "new": licence})
    assert licences.faults(with_new, ["flask", "new"]) == [f"new: {licence} is not in `allowed` of licences.toml"]


def test_an_exception_holds_for_one_licence() -> None:
    changed = msgspec.structs.replace(licences.recorded(), packages={"codespell": "AGPL-3.0-only"})
    assert len(licences.faults(changed, ["codespell"])) == 1


def report_of(text: str, error: str = "") -> list[str]:
    """A command that prints this, as pip-audit would."""
    return [sys.executable, "-c", f"import sys; sys.stdout.write({text!r}); sys.stderr.write({error!r}); sys.exit(1)"]


def advisory(until: date) -> audit.Advisory:
    return audit.Advisory("CVE-1", "jinja2", "no template of others is rendered", until)


@pytest.mark.parametrize(
    ("accepted", "status", "says"),
    [
        ([], 1, "jinja2 3.1.6: GHSA-1, fixed in 3.1.7: `make lock UPGRADE=1`"),
        ([advisory(date(2026, 5, 31))], 1, "accepted until 2026-05-31"),
        ([advisory(TODAY)], 0, "no known vulnerability in 2 packages"),
    ],
)
def test_a_vulnerable_package_fails_unless_it_is_accepted_today(
    accepted: list[audit.Advisory], status: int, says: str
) -> None:
    found = audit.audit(SERVICE, accepted, TODAY, report_of(json.dumps(REPORT)))
    assert found[0] == status
    assert says in found[1]


def test_a_database_out_of_reach_is_said_and_another_fault_fails() -> None:
    unreachable = report_of("", "requests.exceptions.ConnectionError: Failed to resolve …")
    assert audit.audit(SERVICE, [], TODAY, unreachable) == (
        0,
        "requirements.lock: NOT AUDITED, the database of advisories cannot be reached from here",
    )
    status, text = audit.audit(SERVICE, [], TODAY, report_of("", "invalid requirement"))
    assert (status, "invalid requirement" in text) == (2, True)


def test_accepted_advisories_have_a_reason_and_are_about_locked_packages() -> None:
    for one in audit.accepted():
        assert len(one.reason.split()) > 4
        assert normalized(one.package) in locked(SERVICE, DEVELOPMENT)


@pytest.mark.thorough
def test_the_bill_of_materials_is_the_lock_with_hashes_and_licences_and_always_the_same() -> None:
    made = sbom.bill(licences.recorded().packages)
    assert made == sbom.bill(licences.recorded().packages)
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", sbom.SPEC)
    assert {normalized(one["name"]) for one in made["components"]} == locked(SERVICE)
    for one in made["components"]:
        assert one["version"]
        assert one["licenses"][0]["expression"]
        assert any(reference.get("hashes") for reference in one["externalReferences"])
    root = made["metadata"]["component"]
    assert (root["name"], root["version"]) == (
        "alsobought",
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
    )
    depends = next(one["dependsOn"] for one in made["dependencies"] if one["ref"] == root["bom-ref"])
    assert len(depends) == len(made["components"])


def test_every_image_is_pinned_by_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text(
        '#!/bin/sh\ntest "$4" != gone:1 || exit 1\necho sha256:$(printf %s "$4" | sha256sum | cut -c1-64)\n'
    )
    docker.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    named = digests.images()
    assert set(named) == {"PYTHON_IMAGE", "CLICKHOUSE_IMAGE", "KAFKA_IMAGE"}
    assert f"ARG PYTHON={named['PYTHON_IMAGE']}" in (ROOT / "Dockerfile").read_text()
    lines = digests.pinned(named).splitlines()
    assert len(lines) == 3
    assert all(digests.DIGEST.search(line) for line in lines)
    with pytest.raises(RuntimeError, match="gone:1: the registry gave no digest"):
        digests.digest_of("gone:1")
    docker.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="Docker is not installed"):
        digests.digest_of("python:3")


def test_what_a_protection_rests_on_has_an_upper_bound() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {name for name in GUARDS if not any(one.startswith(f"{name}>=") and ",<" in one for one in needed)} == set()
