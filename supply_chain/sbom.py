"""Write the bill of materials of a release: CycloneDX JSON of what requirements.lock installs, with hashes and licences.

    .venv/bin/python -m supply_chain.sbom dist/

Made by cyclonedx-py from the lock. The same lock gives the same bytes, whatever is installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supply_chain.licences import recorded
from supply_chain.locks import ROOT, SERVICE, normalized

SPEC = "1.6"


def bill(licences: Mapping[str, str]) -> dict[str, Any]:
    """The document. `licences` are SPDX expressions by package."""
    options = ["--output-reproducible", "--spec-version", SPEC, "--output-format", "JSON"]
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", *options]
    command += ["--pyproject", str(ROOT / "pyproject.toml"), str(SERVICE)]
    made: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for component in made["components"]:
        del component["description"]  # the line of the lock, all of whose hashes are in it already
        component["licenses"] = [{"expression": licences[normalized(component["name"])]}]
    _depend_on_all(made)
    return made


def _depend_on_all(made: dict[str, Any]) -> None:
    """A lock does not say which package needs which: all belong to Alsobought."""
    root = made["metadata"]["component"]["bom-ref"]
    others = [entry for entry in made["dependencies"] if entry["ref"] != root]
    depends = sorted(component["bom-ref"] for component in made["components"])
    made["dependencies"] = [{"ref": root, "dependsOn": depends}, *others]


def main() -> int:
    folder = Path(sys.argv[1])
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    path = folder / f"alsobought-{version}.cdx.json"
    made = bill(recorded().packages)
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{path}: {len(made['components'])} packages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
