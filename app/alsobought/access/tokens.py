"""Signed tokens: what one user's browser may ask for some minutes, as a JWT with HS256.

`params` are fixed: requests cannot give them other values. A token names the key that issued it (`sub`) and is valid as long as
that key is; one without `sub` was issued by whoever knows the signing secret. Only HS256 is accepted, so neither `alg: none` nor a
public key as an HMAC secret gets past.
"""

from __future__ import annotations

import re
import time
from typing import Any

import jwt
import msgspec

from alsobought.access.keys import checked_origin
from alsobought.access.scopes import EVENTS, READ
from alsobought.errors import BadRequest, NotAuthenticated, Unusable
from alsobought.signing_secrets import SigningSecrets

ALGORITHM = "HS256"
LEEWAY_SECONDS = 5
SESSION_SECONDS = 43_200  # a working day
MAX_PARAMETERS, MAX_VALUE, MAX_PIPES = 10, 256, 50
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


class Expired(NotAuthenticated):
    """Of a key or token that was valid: no attempt to guess one."""


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a token is to allow. Without `pipes`: the public ones, and those about the fixed user alone."""

    params: dict[str, str] = {}
    pipes: tuple[str, ...] | None = None
    scopes: tuple[str, ...] = (READ,)
    origin: str = ""
    seconds: int | None = None


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of a valid token."""

    exp: int
    params: dict[str, str] = {}
    pipes: tuple[str, ...] | None = None
    scopes: tuple[str, ...] = (READ,)
    origin: str = ""
    sub: str = ""


class Signer:
    """Signs with the first secret, accepts all. `audience`: tokens of another shop are refused, even with the same secret."""

    def __init__(self, signing_secrets: SigningSecrets, audience: str, max_seconds: int) -> None:
        self._secrets, self._audience, self._max = signing_secrets, audience, max_seconds

    def sign(self, grant: Grant, key_id: str) -> tuple[str, int]:
        """(the token, the time at which it expires). Raises BadRequest, NotAllowed."""
        checked = self._checked(grant)
        now = int(time.time())
        expires = now + (checked.seconds or self._max)
        claims: dict[str, Any] = {
            "aud": self._audience,
            "iat": now,
            "exp": expires,
            "params": checked.params,
            "scopes": checked.scopes,
        }
        optional = {"sub": key_id, "origin": checked.origin, "pipes": checked.pipes}
        claims |= {name: value for name, value in optional.items() if value is not None and value != ""}
        return jwt.encode(claims, self._secrets.to_sign(), algorithm=ALGORITHM), expires

    def _checked(self, grant: Grant) -> Grant:
        for name, value in grant.params.items():
            if not NAME.fullmatch(name) or not 0 < len(value) <= MAX_VALUE or "\0" in value:
                raise BadRequest(f"params: {name[:60]!r} cannot be fixed to {value[:40]!r}", 'Write {"user_id": "u1"}')
        if len(grant.params) > MAX_PARAMETERS or len(grant.pipes or ()) > MAX_PIPES:
            raise BadRequest(f"a token has at most {MAX_PARAMETERS} parameters and {MAX_PIPES} pipes")
        if unknown := set(grant.scopes) - {READ, EVENTS}:
            raise BadRequest(
                f"a token cannot have the scope {min(unknown)[:60]!r}", f"Tokens have {READ}, {EVENTS} or both"
            )
        if EVENTS in grant.scopes and "user_id" not in grant.params:
            raise BadRequest(f"a token with {EVENTS} is for the events of one user", 'Add "params": {"user_id": "…"}')
        if not 0 < (grant.seconds or self._max) <= self._max:
            raise BadRequest(
                f"seconds: {grant.seconds} is not between 1 and {self._max:,}",
                "ALSOBOUGHT_TOKEN_SECONDS sets the maximum",
            )
        try:
            origin = checked_origin(grant.origin) if grant.origin else ""
        except Unusable as error:
            raise BadRequest(f"origin: {error.message}", error.hint) from error
        return msgspec.structs.replace(grant, origin=origin)

    def sign_session(self, key_id: str) -> str:
        """What a browser keeps of a login, which is no token for anything else. Raises NotAllowed."""
        now = int(time.time())
        claims = {"aud": f"{self._audience}/session", "iat": now, "exp": now + SESSION_SECONDS, "sub": key_id}
        return jwt.encode(claims, self._secrets.to_sign(), algorithm=ALGORITHM)

    def verify_session(self, text: str) -> tuple[str, int]:
        """(the id of the key that logged in, the time at which the session ends). Raises NotAuthenticated."""
        for secret in self._secrets.to_verify():
            try:
                claims = jwt.decode(
                    text,
                    secret,
                    algorithms=[ALGORITHM],
                    audience=f"{self._audience}/session",
                    options={"require": ["exp", "sub"]},
                )
            except jwt.InvalidTokenError:
                continue
            return str(claims["sub"]), int(claims["exp"])
        raise NotAuthenticated("the session has ended", "Log in again")

    def verify(self, text: str) -> Claims:
        """Raises NotAuthenticated."""
        problem = "the token is not valid"
        for secret in self._secrets.to_verify():
            try:
                payload = jwt.decode(
                    text,
                    secret,
                    algorithms=[ALGORITHM],
                    audience=self._audience,
                    leeway=LEEWAY_SECONDS,
                    options={"require": ["exp", "iat", "aud"]},
                )
                claims = msgspec.convert(payload, Claims)
            except jwt.ExpiredSignatureError:
                problem = "the token has expired"
            except (jwt.InvalidTokenError, msgspec.ValidationError):
                continue
            else:
                if claims.exp - time.time() > self._max + LEEWAY_SECONDS:
                    problem = f"the token is valid for longer than {self._max:,} seconds"
                    continue
                return claims
        kind = Expired if "expired" in problem else NotAuthenticated
        raise kind(problem, "Ask the shop's backend for a new one: POST /tokens")


def is_token(text: str) -> bool:
    """True for a text of the form of a JWT."""
    return bool(SHAPE.fullmatch(text))
