"""Certificates for a test, made by openssl: an authority, and what it signs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """Files in PEM: the certificate, its key, and both in one."""

    certificate: Path
    key: Path

    @property
    def both(self) -> Path:
        file = self.certificate.with_suffix(".both.pem")
        file.write_text(self.key.read_text() + self.certificate.read_text())
        return file


@dataclass(frozen=True)
class Authority:
    """Issues certificates into a folder."""

    folder: Path
    name: str = "authority"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _openssl(*_request(self.name), "-x509", "-days", "60", *_files(self.folder, self.name))

    @property
    def ca(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def issue(self, name: str, *names: str, days: int = 60) -> Certificate:
        """For these subject alternative names, such as `IP:127.0.0.1`."""
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        authority = ("-CA", str(self.ca), "-CAkey", str(self.folder / f"{self.name}.key"))
        extension = ("-addext", f"subjectAltName={','.join(names)}") if names else ()
        leaf = ("-addext", "basicConstraints=critical,CA:FALSE")
        files = _files(self.folder, name)
        _openssl(*_request(name), "-x509", *authority, "-days", str(days), *extension, *leaf, *files)
        return Certificate(certificate, key)


def _request(name: str) -> tuple[str, ...]:
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    return ("req", *curve, "-subj", f"/CN={name}")


def _files(folder: Path, name: str) -> tuple[str, ...]:
    return "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")


def _openssl(*arguments: str) -> None:
    subprocess.run(("openssl", *arguments), check=True, capture_output=True)
