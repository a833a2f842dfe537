"""Look for known vulnerabilities in the locked packages: pip-audit with the database OSV, for `make audit`.

    .venv/bin/python -m supply_chain.audit

Exit status 1 for a vulnerable package that accepted_advisories.toml does not accept, or no longer accepts. Where the database
cannot be reached, nothing is known: that is said, and is no failure.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from supply_chain.locks import DEVELOPMENT, SERVICE

FILE = Path(__file__).with_name("accepted_advisories.toml")
COMMAND = (sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--timeout", "15", "--progress-spinner", "off",
    "--disable-pip", "--require-hashes", "--format", "json", "--requirement")  # fmt: skip
UNREACHABLE = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "Max retries exceeded", "ProxyError", "SSLError")
TIMEOUT_SECONDS = 300


class Advisory(msgspec.Struct, forbid_unknown_fields=True):
    """An advisory that is no danger here, for this `reason`. After the day `until` it has to be looked at again."""

    id: str
    package: str
    reason: str
    until: date


class Vulnerability(msgspec.Struct):
    id: str
    description: str = ""
    fix_versions: list[str] = []
    aliases: list[str] = []


class Package(msgspec.Struct):
    name: str
    version: str = ""
    vulns: list[Vulnerability] = []


class Report(msgspec.Struct):
    dependencies: list[Package]


def accepted() -> list[Advisory]:
    return msgspec.convert(tomllib.loads(FILE.read_text()).get("accepted", []), list[Advisory])


def faults(report: Report, accepted: Sequence[Advisory], today: date) -> list[str]:
    """Vulnerabilities that are not accepted, each with what to do."""
    found = []
    for package in report.dependencies:
        for one in package.vulns:
            names = {one.id, *one.aliases}
            reasons = [advisory for advisory in accepted if advisory.package == package.name and advisory.id in names]
            if any(advisory.until >= today for advisory in reasons):
                continue
            fixed = (
                f"fixed in {', '.join(one.fix_versions)}: `make lock UPGRADE=1`"
                if one.fix_versions
                else "no version fixes it"
            )
            late = f"; accepted until {reasons[0].until}" if reasons else ""
            found.append(f"{package.name} {package.version}: {one.id}, {fixed}{late}")
    return found


def audit(lock: Path, accepted: Sequence[Advisory], today: date, command: Sequence[str] = COMMAND) -> tuple[int, str]:
    """The exit status for a lock, and what to say."""
    try:
        ran = subprocess.run(
            [*command, str(lock)], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return 0, f"{lock.name}: NOT AUDITED, the database of advisories did not answer"
    try:
        report = msgspec.json.decode(ran.stdout, type=Report)
    except msgspec.DecodeError:
        if any(word in ran.stderr for word in UNREACHABLE):
            return 0, f"{lock.name}: NOT AUDITED, the database of advisories cannot be reached from here"
        return 2, f"{lock.name}: pip-audit failed\n{ran.stderr.strip()[-2000:]}"
    found = faults(report, accepted, today)
    if found:
        hint = f"Upgrade, or accept it in supply_chain/{FILE.name} with a reason and a date"
        return 1, "\n".join([f"{lock.name}: {len(found)} vulnerable", *found, hint])
    return 0, f"{lock.name}: no known vulnerability in {len(report.dependencies)} packages"


def main() -> int:
    statuses = []
    for lock in (SERVICE, DEVELOPMENT):
        status, text = audit(lock, accepted(), datetime.now(UTC).date())
        sys.stdout.write(f"{text}\n")
        statuses.append(status)
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
