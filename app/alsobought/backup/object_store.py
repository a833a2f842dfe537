"""Backups in object storage that speaks the protocol of S3, with the same names as in a folder.

An object is visible when its upload is complete, never before, so no temporary name is needed: a backup exists once its manifest
is there. The client (obstore) signs each upload with its hash, repeats what failed, and resumes a download that was cut.
Credentials come from the usual variables, `AWS_…`, or from the machine's role. They are in no message: of the texts of the
client, which quote the server, only what is named in FAULTS is used.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from alsobought.backup.lease import Lease
from alsobought.backup.store import CHUNK_BYTES, FILES, Advance, chunks_of, file_name
from alsobought.errors import Unusable
from alsobought.failpoints import reach
from alsobought.redaction import hide
from alsobought.storage.sql_text import quoted

PART_BYTES = 8 << 20  # a larger file is uploaded in parts
MAX_PARTS = 9000  # S3 allows 10,000
PARTS_AT_ONCE = 2
TRIES, TRY_SECONDS = 5, 180
REQUEST_SECONDS = 120
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#@\s]*)?")
DENIED = "access denied"
FAULTS = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": DENIED,
    "InvalidAccessKeyId": "the access key is not known",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the credentials have expired",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "PermanentRedirect": "the bucket is in another region",
    "AuthorizationHeaderMalformed": "the bucket is in another region",
    "NotImplemented": "it does not know conditional writes",
    "SlowDown": "it asks for fewer requests",
    "kind: Connect": "it does not answer",
    "kind: Timeout": "it did not answer in time",
    "169.254.169.254": "there are no credentials",
}
"""What a message of the client has in it, and what that means, the first one first."""


class ObjectStore:
    """Backups in a bucket, under a prefix. The bucket must exist."""

    threads = 16

    def __init__(self, url: str, holder: str) -> None:
        """`holder` names who takes backups: no other process of the same name is taking one."""
        if not URL.fullmatch(url):
            raise Unusable(
                "the place of the backups is not of the form s3://bucket/prefix",
                "Credentials go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        for name in SECRETS:
            hide(secret=os.environ.get(name, ""))
        endpoint = _endpoint()
        self.name = url.rstrip("/")
        self._host = urlsplit(endpoint).hostname or "s3.amazonaws.com"
        with self._reporting():
            self._client = S3Store.from_url(
                self.name,
                config={"endpoint": endpoint} if endpoint else {},
                client_options={
                    "allow_http": endpoint.startswith("http://"),
                    "timeout": timedelta(seconds=REQUEST_SECONDS),
                },
                retry_config={"max_retries": TRIES, "retry_timeout": timedelta(seconds=TRY_SECONDS)},
            )
        self._lease = Lease(self._client, holder, self.name)
        self._stored: dict[str, int] | None = None

    def sizes(self, folder: str) -> dict[str, int]:
        with self._reporting():
            return {entry["path"]: entry["size"] for page in obstore.list(self._client, folder) for entry in page}

    def read(self, name: str) -> Iterator[bytes]:
        with self._reporting():
            for chunk in obstore.get(self._client, name).stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    def write(self, name: str, data: bytes) -> None:
        reach("backup.written")
        with self._reporting():
            obstore.put(self._client, name, data, use_multipart=False)

    def add(self, path: Path, size: int, advance: Advance) -> tuple[str, bool]:
        if self._stored is None:
            self._stored = self.sizes(FILES)
        digest = _digest(path, size)
        name = file_name(digest)
        if is_new := self._stored.get(name) != size:
            self._upload(path, size, digest, advance)
            self._stored[name] = size
        else:
            advance(size)
        reach("backup.file")
        return digest, is_new

    def delete(self, name: str) -> None:
        with self._reporting(), suppress(FileNotFoundError):
            obstore.delete(self._client, name)

    def sync(self) -> None:
        """What was uploaded is durable; this makes sure that no other backup took over and deleted it."""
        with self._reporting():
            self._lease.confirm()

    def set_aside(self, name: str) -> None:
        with suppress(BaseError, OSError):  # the credentials may be those of a reader
            obstore.rename(self._client, name, f"damaged/{name.rpartition('/')[2]}")

    def clean(self) -> None:
        """Half an upload is no object. The bucket's rule for incomplete uploads deletes its parts."""
        self._stored = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._reporting():
            self._lease.take()
        try:
            yield
        finally:
            self._lease.release()

    def clickhouse(self, name: str) -> str:
        """With our credentials if they are plain keys; else the server uses its own."""
        bucket, _, prefix = self.name.removeprefix("s3://").partition("/")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        host = f"{_endpoint().rstrip('/')}/{bucket}" if _endpoint() else f"https://{bucket}.s3.{region}.amazonaws.com"
        arguments = [f"{host}/{prefix}/{name}" if prefix else f"{host}/{name}"]
        keys = [os.environ.get(variable, "") for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
        if all(keys) and not os.environ.get("AWS_SESSION_TOKEN"):
            arguments += keys
        return f"S3({', '.join(map(quoted, arguments))})"

    def _upload(self, path: Path, size: int, digest: str, advance: Advance) -> None:
        """In parts if it is large: at most PARTS_AT_ONCE of them are in memory."""
        sent = hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            with path.open("rb") as source:
                for chunk in chunks_of(source, size):
                    sent.update(chunk)
                    yield chunk
                    advance(len(chunk))

        with self._reporting():
            name = file_name(digest)
            if size <= PART_BYTES:
                obstore.put(self._client, name, b"".join(chunks()), use_multipart=False)
            else:
                part = max(PART_BYTES, size // MAX_PARTS + 1)
                obstore.put(self._client, name, chunks(), chunk_size=part, max_concurrency=PARTS_AT_ONCE)
        if sent.hexdigest() != digest:
            self.delete(name)
            raise Unusable(f"{path.name} changed while it was copied", "Take the backup again")

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Raises Unusable with the reason, in our own words; FileNotFoundError only for a missing object."""
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            text = str(error)
            if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in text:
                raise FileNotFoundError("no such object") from None
            denied = isinstance(error, PermissionDeniedError | UnauthenticatedError)
            reason = next((reason for sign, reason in FAULTS.items() if sign in text), DENIED if denied else "")
            status = re.search(r"status code: (\d{3})", text)
            reason = reason or (f"status {status[1]}" if status else "the request failed")
            raise Unusable(
                f"the backups in {self.name} cannot be read or written: {reason} ({self._host})",
                "Check AWS_ENDPOINT_URL, AWS_REGION and the credentials. Older backups are whole",
            ) from None


def _endpoint() -> str:
    """The address of a service other than Amazon's, by the variables that its clients read."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _digest(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source:
        for chunk in chunks_of(source, size):
            digest.update(chunk)
    return digest.hexdigest()
