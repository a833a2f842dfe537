"""`GET /kit/<name>`: the scripts that a shop loads into its pages, from any origin and without a key.

The address with `?v=` and the version of the package may be cached for a year, any other for an hour: an address never ends
with an upgrade.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

blueprint = Blueprint("kit", __name__)
FOLDER = Path(__file__).with_name("kit")
FILES = {"alsobought.js": "alsobought.min.js", "react.js": "react.js"}
ENDPOINT = "kit.get_file"
A_YEAR, AN_HOUR = "public, max-age=31536000, immutable", "public, max-age=3600"


@blueprint.route("/kit/<name>", methods=["GET"])
def get_file(name: str) -> Response:
    if name not in FILES:
        raise NotFound
    packed = request.accept_encodings["gzip"] > 0
    body, etag = _file(FILES[name], packed=packed)
    response = Response(body, mimetype="text/javascript")
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = A_YEAR if request.args.get("v") == version("alsobought") else AN_HOUR
    response.set_etag(etag)
    response.make_conditional(request)
    return response


@lru_cache
def _file(name: str, *, packed: bool) -> tuple[bytes, str]:
    """The bytes of a file and a hash of them."""
    body = (FOLDER / name).read_bytes()
    if packed:
        body = gzip.compress(body, mtime=0)
    return body, sha256(body).hexdigest()[:16]


def open_to_all_pages(response: Response) -> Response:
    """Pages of any origin load the kit, also those that are isolated from other origins."""
    if request.endpoint == ENDPOINT:
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
