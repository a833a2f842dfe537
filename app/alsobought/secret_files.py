"""Secrets from files: `ALSOBOUGHT_KAFKA_PASSWORD_FILE` names a file that holds `ALSOBOUGHT_KAFKA_PASSWORD`.

Docker and Kubernetes mount secrets as files, systemd passes them as credentials. In the environment of a process, the other
programs of its user can read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

FILE = "_file"
MAX_BYTES = 65_536  # a larger file is not a secret
MOUNTED_SECRETS = Path("/run/secrets")
READ_BY_OTHERS, ENTERED_BY_OTHERS = 0o004, 0o001


def read_secret_files(values: dict[str, str], secrets: Sequence[str], prefix: str) -> list[str]:
    """Replace each `…_file` among the values by the text of its file, without blanks around it. Returns the faults."""
    faults = []
    for name in secrets:
        path = values.pop(f"{name}{FILE}", "")
        if not path:
            continue
        variable = f"{prefix}{name.upper()}"
        text, fault = _read(Path(path).expanduser())
        if name in values:
            faults.append(f"{variable} and {variable}_FILE are both set: leave out one of them")
        elif fault:
            faults.append(f"{variable}_FILE: {path} {fault}")
        else:
            values[name] = text
    return faults


def _read(path: Path) -> tuple[str, str]:
    """The text, and the reason why there is none."""
    try:
        if path.exists() and not path.is_file():
            return "", "is not a file"
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode().strip()
    except OSError as error:
        return "", f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
    except UnicodeDecodeError:
        return "", "cannot be read: it is not UTF-8"
    if len(content) > MAX_BYTES:
        return "", f"has more than {MAX_BYTES:,} bytes"
    return text, "" if text else "is empty"


def secret_files(environ: Mapping[str, str], secrets: Sequence[str], prefix: str) -> Iterator[tuple[str, Path]]:
    """(variable, file) of each secret that is set as a file."""
    for name in secrets:
        variable = f"{prefix}{name.upper()}{FILE.upper()}"
        if path := environ.get(variable, "").strip():
            yield variable, Path(path).expanduser().absolute()


def is_readable_by_others(path: Path) -> bool:
    """True if accounts outside its owner and group can read the file, and enter each folder above it.

    The folder where a container finds its secrets is the container's alone.
    """
    if path.is_relative_to(MOUNTED_SECRETS):
        return False
    return bool(path.stat().st_mode & READ_BY_OTHERS) and all(
        folder.stat().st_mode & ENTERED_BY_OTHERS for folder in path.parents
    )
