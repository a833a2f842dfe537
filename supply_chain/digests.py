"""Pin the images that Dockerfile and docker-compose.yml name by tag: ask the registry for their digests now.

    .venv/bin/python -m supply_chain.digests dist/images.env

Needs Docker with buildx, and the network. The file has a variable for each image, for `docker compose --env-file`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from supply_chain.locks import ROOT

VARIABLE = re.compile(r"\$\{(\w+_IMAGE):-([^}@]+)\}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def images() -> dict[str, str]:
    """{variable of docker-compose.yml: the image that it has by default}"""
    return dict(VARIABLE.findall((ROOT / "docker-compose.yml").read_text()))


def digest_of(image: str) -> str:
    """The digest of the image's index, which covers all platforms. Raises RuntimeError."""
    docker = shutil.which("docker")
    if docker is None:
        raise RuntimeError("Docker is not installed: digests are looked up by `docker buildx imagetools inspect`")
    command = [docker, "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    digest = ran.stdout.strip()
    if ran.returncode or not DIGEST.fullmatch(digest):
        raise RuntimeError(f"{image}: the registry gave no digest. {ran.stderr.strip()[-500:]}")
    return digest


def pinned(images: Mapping[str, str], digest_of: Callable[[str], str] = digest_of) -> str:
    """The lines of the file. The tag stays readable; where both are given, Docker goes by the digest."""
    return "".join(f"{variable}={image}@{digest_of(image)}\n" for variable, image in sorted(images.items()))


def main() -> int:
    path = Path(sys.argv[1])
    try:
        text = pinned(images())
    except RuntimeError as error:
        sys.stderr.write(f"No image is pinned: {error}\n")
        return 1
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
