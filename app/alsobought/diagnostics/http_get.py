"""Ask a running service over HTTP. Redirects are not followed: a key goes to the host that it was given for, and nowhere else."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from alsobought.errors import Unusable

TIMEOUT_SECONDS = 10.0
CREATE_KEY = "`alsobought key create top --scope metrics` makes one: put it into a file and name it with --key-file"


def get(url: str, path: str, key: str = "") -> str:
    """The body of `GET url/path`. Raises Unusable, with what to do about it, where there is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unusable(f"{url!r} is not the address of a service", "Write it like http://127.0.0.1:8080")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {"User-Agent": "alsobought-top"} | ({"Authorization": f"Bearer {key}"} if key else {})
    try:
        connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", parts.path.rstrip("/") + path, headers=headers)
            response = connection.getresponse()
            status, body = response.status, response.read().decode(errors="replace")
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unusable(
            f"no service answers at {url}: {reason.lower()}",
            "Start one with `alsobought serve`, or name another with --url",
        ) from error
    if status in (401, 403):
        problem = "does not accept this key" if key else "needs a key"
        raise Unusable(f"{url} {problem} for {path}", f"It takes the scope metrics. {CREATE_KEY}")
    if status != http.client.OK:
        hint = "A proxy may hide /metrics: name the address of the service itself with --url"
        raise Unusable(f"{url}{path} answers with status {status}", hint)
    return body
