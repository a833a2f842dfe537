"""`make clients`: a typed client in TypeScript and one in Python, made of the OpenAPI document by the generators others use.

python -m tests.clients --to build/clients                              # of the pipes in pipes/
python -m tests.clients --to build/clients --shop http://127.0.0.1:8080 # of a running service
"""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import click
import msgspec

from alsobought.service.service import open_service
from alsobought.settings import Settings
from alsobought.web.factory import create_app

HERE = Path(__file__).parent
TOOLS = HERE / "node_modules" / ".bin"


@click.command()
@click.option("--to", type=click.Path(path_type=Path), required=True, help="Folder, made if need be.")
@click.option("--shop", help="Address of a running service; without it the pipes of this project.")
def main(to: Path, shop: str | None) -> None:
    document = _served(f"{shop}/openapi.json") if shop else _own()
    make(document, to)
    click.echo(f"{to}/api.ts for openapi-fetch, {to}/alsobought_client for Python with httpx and attrs")


def make(document: bytes, to: Path) -> None:
    """Both clients of this document, in a folder. Raises CalledProcessError."""
    to.mkdir(parents=True, exist_ok=True)
    source = to / "openapi.json"
    source.write_bytes(document)
    _run(TOOLS / "openapi-typescript", source, "--output", to / "api.ts", "--default-non-nullable=false")
    config = ["--config", HERE / "python.yaml", "--meta", "none", "--overwrite"]
    package = to / "alsobought_client"
    _run(sys.executable, "-m", "openapi_python_client", "generate", "--path", source, "--output-path", package, *config)


def _own() -> bytes:
    settings = msgspec.structs.replace(Settings(), dsn="chdb://:memory:", record_requests=False)
    shop = open_service(settings)
    try:
        document: bytes = create_app(shop).test_client().get("/openapi.json").data
        return document
    finally:
        shop.close()


def _served(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as got:
        document: bytes = got.read()
        return document


def _run(*words: object) -> None:
    subprocess.run([*map(str, words)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
