"""Messages with a schema of a registry, Avro, Protobuf or JSON, as the JSON that they stand for.

Such a message begins with a zero byte and the number of its schema, as no JSON does. The rest of the way is that of JSON, so its
fields have the same names and the same errors. A registry that does not answer is waited for, as Kafka is: it makes no dead letter.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from alsobought.errors import AlsoboughtError, Unusable
from alsobought.kafka.registered_schema import AVRO, JSON, PROTOBUF, Decode, RegisteredSchema, fetch_schema
from alsobought.redaction import redacted
from alsobought.settings import Settings
from alsobought.tls import TlsFiles, certificate_problem, shake_hands

MAGIC, HEADER_BYTES = b"\0", 5
REQUEST_SECONDS = 3.0
UNKNOWN_SECONDS = 60.0  # a schema may reach the registry, or its replica, later than its first message
ASK_AGAIN_SECONDS = 10.0  # for a schema that was not there
GIVEN_UP_SECONDS = (
    600.0  # after an unknown schema the next ones are not waited for, or a topic of noise would stand still
)
NOT_FOUND, NOT_ALLOWED = 404, (401, 403)
INSTALL = "Install them with `pip install 'alsobought[registry]'`"

ToJson = Callable[[bytes], bytes | str]
"""The JSON of a message, or the reason why it has none."""


class RegistryUnavailable(AlsoboughtError):
    """The registry does not answer, or does not have a schema yet."""


def json_reader(settings: Settings, *, patient: bool = True) -> ToJson:
    """What makes JSON of messages, by the setting `registry`. Raises Unusable without the packages that it needs.

    Unless `patient`, a schema that is not in the registry is a reason at once.
    """
    return SchemaRegistry(settings, patient=patient).to_json if settings.registry else without_registry


def schema_id(message: bytes) -> int | None:
    """The number of the schema; None for a message that names none.

    >>> schema_id(b"\\0\\0\\0\\1\\2tea"), schema_id(b'{"item_id": "tea"}')
    (258, None)
    """
    if message[:1] != MAGIC or len(message) < HEADER_BYTES:
        return None
    return int.from_bytes(message[1:HEADER_BYTES])


def without_registry(message: bytes) -> bytes | str:
    number = schema_id(message)
    return message if number is None else f"has schema {number} of a registry: set ALSOBOUGHT_REGISTRY to its address"


def tls_files(settings: Settings) -> TlsFiles:
    return TlsFiles("ALSOBOUGHT_REGISTRY", settings.registry_ca)


class SchemaRegistry:
    """Each schema is asked for once. Used by one thread."""

    def __init__(
        self, settings: Settings, *, patient: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._clock = settings, clock
        self._client = _client(settings)
        self._decoders: dict[int, Decode | str] = {}
        self._missing: dict[int, tuple[float, float]] = {}  # when it was missed first, and asked for last
        self._given_up_at = clock() - GIVEN_UP_SECONDS * patient

    def to_json(self, message: bytes) -> bytes | str:
        """Raises RegistryUnavailable."""
        number = schema_id(message)
        if number is None:
            return message
        decode = self._decoder(number)
        if isinstance(decode, str):
            return decode
        try:
            return decode(message[HEADER_BYTES:])
        except Exception as error:
            detail = str(error).split("\n", 1)[0][:200]
            return f"not a message of its schema {number}: {type(error).__name__}{': ' * bool(detail)}{detail}"

    def check(self) -> None:
        """Raises RegistryUnavailable if it does not answer, or does not know this user."""
        self._ask(self._client.get_subjects)

    def _decoder(self, number: int) -> Decode | str:
        """What decodes messages of this schema, or why none can be decoded."""
        if decoder := self._decoders.get(number):
            return decoder
        if (missing := self._missing.get(number)) and self._clock() - missing[1] < ASK_AGAIN_SECONDS and self._gave_up:
            return _unknown(number)
        schema = self._ask(lambda: fetch_schema(self._client, number))
        if schema is None:
            return self._wait_or_give_up(number)
        self._missing.pop(number, None)
        return self._decoders.setdefault(number, _new_decoder(number, schema))

    @property
    def _gave_up(self) -> bool:
        return self._clock() - self._given_up_at < GIVEN_UP_SECONDS

    def _wait_or_give_up(self, number: int) -> str:
        now = self._clock()
        if len(self._missing) > 10_000:
            self._missing.clear()
        since = self._missing.get(number, (now, now))[0]
        self._missing[number] = since, now
        if not self._gave_up:
            if now - since < UNKNOWN_SECONDS:
                raise RegistryUnavailable(
                    f"{_unknown(number)} at {self._settings.registry}",
                    f"Register it: its messages become dead letters after {UNKNOWN_SECONDS:.0f} seconds",
                )
            self._given_up_at = now
        return _unknown(number)

    def _ask(self, request: Callable[[], Any]) -> Any:
        """The answer of the registry; None if it does not have the schema."""
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        address = self._settings.registry
        try:
            return request()
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                return None
            if error.http_status_code in NOT_ALLOWED:
                hint = "Are ALSOBOUGHT_REGISTRY_USER and ALSOBOUGHT_REGISTRY_PASSWORD right?"
                raise RegistryUnavailable(f"the schema registry at {address} refused this user", hint) from error
            text = f"the schema registry at {address} answered {error.http_status_code}: {redacted(error.error_message or '')}"
            raise RegistryUnavailable(text) from error
        except Exception as error:
            raise RegistryUnavailable(*self._problem(error)) from error

    def _problem(self, error: Exception) -> tuple[str, str]:
        """Why it does not answer."""
        address = self._settings.registry
        parts = urlsplit(address)
        if parts.scheme == "https" and parts.hostname:
            handshake = shake_hands(parts.hostname, parts.port or 443, tls_files(self._settings).context())
            names = "ALSOBOUGHT_REGISTRY", "ALSOBOUGHT_REGISTRY_CA"
            problem, hint = certificate_problem(handshake, parts.hostname, *names)
            if problem:
                return f"the schema registry at {address} is not trusted: {problem}", hint
        reason = redacted(str(error)).split("\n", 1)[0] or type(error).__name__
        hint = "Is ALSOBOUGHT_REGISTRY right, and is it running?"
        return f"the schema registry at {address} does not answer: {reason}", hint


def _new_decoder(number: int, schema: RegisteredSchema) -> Decode | str:
    try:
        if schema.kind == AVRO:
            from alsobought.kafka.avro_messages import avro_decoder

            return avro_decoder(schema)
        if schema.kind == PROTOBUF:
            from alsobought.kafka.protobuf_messages import protobuf_decoder

            return protobuf_decoder(schema)
    except Exception as error:
        return f"schema {number} cannot be read: {type(error).__name__}: {str(error)[:200]}"
    return bytes if schema.kind == JSON else f"schema {number} is of the type {schema.kind}, not AVRO, PROTOBUF or JSON"


def _unknown(number: int) -> str:
    return f"schema {number} is not in the registry"


def _client(settings: Settings) -> Any:
    try:
        import fastavro  # noqa: F401
        from confluent_kafka.schema_registry import SchemaRegistryClient
    except ImportError as error:
        raise Unusable("ALSOBOUGHT_REGISTRY needs packages that are not installed", INSTALL) from error
    configuration: dict[str, Any] = {"url": settings.registry, "timeout": REQUEST_SECONDS, "max.retries": 0}
    if settings.registry_ca:
        tls_files(settings).context()
        configuration["ssl.ca.location"] = settings.registry_ca
    if settings.registry_user:
        configuration["basic.auth.user.info"] = f"{settings.registry_user}:{settings.registry_password}"
    return SchemaRegistryClient.new_client(configuration)
