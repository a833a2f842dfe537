"""Record the licence of every locked package in licences.toml, and find those that are unknown or not allowed.

    .venv/bin/python -m supply_chain.licences

Licences are read from installed packages by pip-licenses. A package that is not installed here, since it is for another
system, keeps what is recorded; a new one of those has to be written by hand.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from supply_chain.locks import DEVELOPMENT, SERVICE, listed, locked, normalized

FILE = Path(__file__).with_name("licences.toml")
FIELDS = ("License-Expression", "License-Metadata", "License-Classifier")  # the most exact one first
UNKNOWN = "UNKNOWN"


class Licences(msgspec.Struct, frozen=True):
    """`allowed` are SPDX identifiers; `names` are other spellings of them. `exceptions` are packages that are never shipped."""

    allowed: list[str]
    names: dict[str, str]
    exceptions: dict[str, str]
    packages: dict[str, str]


def recorded() -> Licences:
    return msgspec.convert(tomllib.loads(FILE.read_text()), Licences)


def installed() -> dict[str, Mapping[str, str]]:
    """{package: what its metadata has of its licence}"""
    command = [sys.executable, "-m", "piplicenses", "--from=all", "--format=json", "--with-system"]
    found: list[Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {normalized(one["Name"]): one for one in found}


def licence_of(metadata: Mapping[str, str], names: Mapping[str, str]) -> str:
    """An SPDX expression, or the text of the metadata if it is none that we know.

    >>> licence_of({"License-Expression": "UNKNOWN", "License-Metadata": "Apache 2.0"}, {"Apache 2.0": "Apache-2.0"})
    'Apache-2.0'
    """
    texts = [text for field in FIELDS if (text := metadata.get(field, UNKNOWN).strip()) != UNKNOWN]
    for text in texts:
        if text in names:
            return names[text]
        if is_expression(text):
            return text
    return texts[0].partition("\n")[0][:60] if texts else UNKNOWN


def is_expression(text: str) -> bool:
    """True for identifiers with AND and OR, such as `MIT AND PSF-2.0`."""
    return bool(re.fullmatch(r"[\w.+-]+(?: (?:AND|OR|WITH) [\w.+-]+)*", text))


def is_allowed(expression: str, allowed: Iterable[str]) -> bool:
    """Of an OR one is enough, of an AND all are needed.

    >>> is_allowed("MIT OR GPL-2.0-only", ["MIT"]), is_allowed("MIT AND GPL-2.0-only", ["MIT"]), is_allowed("UNKNOWN", ["MIT"])
    (True, False, False)
    """
    return any(all(part in allowed for part in choice.split(" AND ")) for choice in expression.split(" OR "))


def faults(licences: Licences, names: Iterable[str]) -> list[str]:
    """What keeps these packages from being used."""
    found = []
    for name in sorted(names):
        licence = licences.packages.get(name, UNKNOWN)
        is_exception = licences.exceptions.get(name, "").startswith(f"{licence}: ")
        if not is_exception and not is_allowed(licence, licences.allowed):
            found.append(f"{name}: {licence} is not in `allowed` of {FILE.name}")
    return found


def renewed(licences: Licences, found: Mapping[str, Mapping[str, str]], names: Iterable[str]) -> dict[str, str]:
    """The licence of each of these packages: as its metadata says, or as recorded where it is not installed or says nothing."""
    packages = {}
    for name in sorted(names):
        licence = licence_of(found[name], licences.names) if name in found else UNKNOWN
        packages[name] = licences.packages.get(name, UNKNOWN) if licence == UNKNOWN else licence
    return packages


def main() -> int:
    licences, names = recorded(), locked(SERVICE, DEVELOPMENT)
    head = FILE.read_text().partition("[packages]\n")[0]
    packages = renewed(licences, installed(), names)
    FILE.write_text(
        head + "[packages]\n" + "".join(f"{name} = {json.dumps(licence)}\n" for name, licence in packages.items())
    )
    found = faults(recorded(), names)
    sys.stderr.write("".join(f"{fault}\n" for fault in found))
    sys.stdout.write(f"{len(packages)} packages under {listed(set(packages.values()))}\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
