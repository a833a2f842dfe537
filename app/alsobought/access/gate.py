"""Authenticate callers: the keys of the table in memory, and the credentials that were verified already.

A thread reads the table every POLL_SECONDS, so that a key which another process creates or revokes counts within two seconds. An
unknown key reads it at once, but at most once a second. A verified credential is looked up in a dictionary: no hash and no
signature is computed for it again until a key changes.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache

from alsobought.access.addresses import client_address, counted_address, networks
from alsobought.access.credentials import SECRET, hash_of, id_of, is_equal
from alsobought.access.keys import Key, all_keys, any_keys, note_uses
from alsobought.access.limits import Limiter, Rate, Verdict, read_rate
from alsobought.access.scopes import ADMIN, ANY_ORIGIN, EVENTS, READ, Principal, may, reads
from alsobought.access.settings import admin_key
from alsobought.access.tokens import Claims, Expired, Signer, is_token
from alsobought.errors import AlsoboughtError, NotAuthenticated, TooManyRequests
from alsobought.settings import Settings, trusted_proxies
from alsobought.signing_secrets import SigningSecrets
from alsobought.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

POLL_SECONDS = 1.5
MISS_SECONDS = 1.0  # between two reads because of unknown keys
NOTE_SECONDS = 3600  # between two notes of the use of a key
MAX_VERIFIED, MAX_ADDRESSES = 20_000, 10_000
FAILURES = Rate(30, 60)  # of an address
MERGES = Rate(10, 3600)  # of a user, with tokens
UNKNOWN = (
    "the key is not valid",
    "`alsobought key ls` lists the keys; `alsobought key create NAME --scope …` makes one",
)


class Gate:
    """One per process. `loopback`: only this machine reaches the service. Thread-safe."""

    def __init__(self, settings: Settings, warehouse: Warehouse, *, loopback: bool) -> None:
        self._warehouse, self._mode, self._loopback = warehouse, settings.access, loopback
        self._admin_key = admin_key(settings)
        self._admin_hash = hash_of(self._admin_key) if self._admin_key else ""
        self._admin_id = f"ALSOBOUGHT_ADMIN_KEY {self._admin_hash[:8]}"  # another key ends what this one issued
        self._server_rate, self._browser_rate = read_rate(settings.server_rate), read_rate(settings.browser_rate)
        proxies = networks(trusted_proxies(settings))
        self._clients = lru_cache(MAX_ADDRESSES)(lambda peer, forwarded: client_address(peer, forwarded, proxies))
        self.signer = Signer(
            SigningSecrets(settings.token_secret, warehouse.folder), settings.database, settings.token_seconds
        )
        self._limiter, self._failures = Limiter(settings.workers), Limiter(settings.workers)
        self._merges = Limiter(settings.workers)
        self._keys: dict[str, Key] = {}
        self._verified: OrderedDict[str, Principal] = OrderedDict()
        self._used: dict[str, datetime] = {}
        self._noted: dict[str, float] = {}
        self._lock = threading.RLock()
        self._generation = 0  # of the keys: what was verified against older ones is not remembered
        self._read_at = -math.inf
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.origins: frozenset[str] = frozenset()
        self.refresh()

    # Keys

    @property
    def needed(self) -> bool:
        """True if requests need a key."""
        return self._mode == "keys" or (self._mode == "auto" and (self.has_keys or not self._loopback))

    @property
    def has_keys(self) -> bool:
        """True if there is a key, or ever was: revoking the last one opens nothing."""
        return bool(self._keys or self._admin_hash)

    def has_valid_keys(self) -> bool:
        now = _now()
        return bool(self._admin_hash) or any(key.state(now) == "valid" for key in self._keys.values())

    def refresh(self) -> None:
        """Read the keys again. Raises WarehouseFault."""
        with self._lock:
            started = time.monotonic()
            try:
                keys = (
                    {key.key_id: key for key in all_keys(self._warehouse)}
                    if self._keys or any_keys(self._warehouse)
                    else {}
                )
            finally:
                self._read_at = started  # not before: who misses a key meanwhile waits for this
            changed = _without_use(keys) != _without_use(self._keys)
            self._keys = keys  # first: what is verified after this is verified against these
            if changed:
                self._generation += 1
                self._verified.clear()
                self.origins = frozenset(
                    origin for key in keys.values() for origin in key.origin_list if not key.revoked
                )

    def start(self) -> None:
        self._thread = threading.Thread(target=self._poll, name="access-keys", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        if self._thread:
            self._thread.join()
        self._note_uses(everything=True)

    def _poll(self) -> None:
        failed = False
        while not self._stopped.wait(POLL_SECONDS):
            try:
                self.refresh()
                self._note_uses()
                failed = False
            except AlsoboughtError as error:
                if not failed:
                    log.warning("the keys could not be read, those of before stay valid: %s", error)
                failed = True

    def _note_uses(self, *, everything: bool = False) -> None:
        now = time.monotonic()
        used = [key for key in list(self._used) if key in self._keys]
        due = [key for key in used if everything or now - self._noted.get(key, -math.inf) > NOTE_SECONDS]
        try:
            note_uses(self._warehouse, {key: self._used.pop(key) for key in due})
        except AlsoboughtError as error:
            log.info("the last use of keys was not stored: %s", error)
        self._noted |= dict.fromkeys(due, now)

    # Callers

    def verified(self, credential: str) -> Principal | None:
        """The principal of a credential that was verified already, and is valid still."""
        principal = self._verified.get(credential)
        if principal is None or principal.expires <= time.time():
            return None
        if principal.id not in self._used:
            self._used[principal.id] = _now()
        return principal

    def authenticate(self, credential: str, address: Callable[[], str]) -> Principal:
        """The principal of a key or token. `address` returns that of the caller.

        Raises NotAuthenticated, or TooManyRequests after many failures of the address.

        A valid one is let in after any number of failures: nobody guesses 256 bits, and many shoppers may share an address.
        """
        if principal := self.verified(credential):
            return principal
        generation = self._generation
        try:
            principal = self._principal(credential)
        except Expired:
            raise
        except NotAuthenticated as error:
            verdict = self._failures.hit(address(), FAILURES)
            if verdict.allowed:
                raise
            wait = math.ceil(verdict.wait)
            raise TooManyRequests(
                f"too many keys and tokens that are not valid; of this one: {error.message}", f"Wait {wait} seconds"
            ) from error
        self._remember(credential, principal, generation)
        return principal

    def of_session(self, cookie: str) -> Principal | None:
        """The principal of the key that logged in with this cookie; None if the session or the key has ended."""
        remembered = f"session {cookie}"
        if principal := self.verified(remembered):
            return principal
        try:
            key_id, expires = self.signer.verify_session(cookie)
            generation, issuer = self._generation, self._issuer(key_id)
        except NotAuthenticated:
            return None
        principal = replace(issuer, expires=min(expires, issuer.expires))
        self._remember(remembered, principal, generation)
        return principal

    def _remember(self, credential: str, principal: Principal, generation: int) -> None:
        """Unless the keys have changed meanwhile."""
        with self._lock:
            if generation == self._generation:
                self._verified[credential] = principal
            while len(self._verified) > MAX_VERIFIED:
                self._verified.popitem(last=False)
        self._used[principal.id] = _now()

    def _principal(self, credential: str) -> Principal:
        if is_token(credential):
            return self._of_token(self.signer.verify(credential))
        if self.is_admin_key(credential):
            return self._of_admin_key()
        key = self._key(id_of(credential))
        if key is None or not is_equal(hash_of(credential), key.hash):
            raise NotAuthenticated(*UNKNOWN)
        return self._of_key(key)

    def _key(self, key_id: str) -> Key | None:
        """The key of this id; one that is not known may have been created a moment ago."""
        if key_id and key_id not in self._keys and time.monotonic() - self._read_at > MISS_SECONDS:
            with self._lock:
                if time.monotonic() - self._read_at > MISS_SECONDS:
                    self.refresh()
        return self._keys.get(key_id)

    def _of_key(self, key: Key) -> Principal:
        if (state := key.state(_now())) != "valid":
            past = "has expired" if state == "expired" else "is revoked"
            raise Expired(f"the key {key.key_id} {past}", "`alsobought key create` makes a new one")
        default = self._browser_rate if key.kind == "browser" else self._server_rate
        return Principal(
            key.kind,
            key.key_id,
            key.scope_set,
            key.origin_list,
            expires=key.expires_at.timestamp(),
            rate=key.limit or default,
        )

    def _of_token(self, claims: Claims) -> Principal:
        """A token has no right that the key lacks which issued it."""
        issuer = self._issuer(claims.sub) if claims.sub else Principal("secret", scopes=frozenset({ADMIN}))
        return Principal(
            "token",
            claims.sub,
            _token_scopes(issuer, claims),
            (claims.origin,) if claims.origin else (),
            fixed=claims.params,
            pipes=None if claims.pipes is None else frozenset(claims.pipes),
            expires=min(claims.exp, issuer.expires),
            rate=self._browser_rate,
        )

    def _issuer(self, key_id: str) -> Principal:
        """The principal of the secret key that issued a token or logged in. Raises NotAuthenticated."""
        if key_id == self._admin_id and self._admin_hash:
            return self._of_admin_key()
        key = self._key(key_id)
        if key is None or key.kind != "secret":
            raise NotAuthenticated("the key that issued the token is not valid", "Ask for a new token")
        return self._of_key(key)

    def _of_admin_key(self) -> Principal:
        return Principal("secret", self._admin_id, frozenset({ADMIN}), rate=self._server_rate)

    # Limits

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """The address of a caller, behind known proxies that of whom they name."""
        return self._clients(peer, tuple(forwarded))

    def address(self, peer: str, forwarded: Sequence[str]) -> str:
        """The same, as limits count it."""
        return counted_address(self.client(peer, forwarded))

    def admit(self, principal: Principal, address: Callable[[], str]) -> Verdict | None:
        """Count a request; None without a limit. What browsers send counts by address: they all have the same key."""
        if principal.rate is None:
            return None
        caller = (principal.kind, principal.id, address()) if principal.in_browsers else principal.id
        return self._limiter.hit(caller, principal.rate)

    def admit_merge(self, user_id: str) -> Verdict:
        """Count a merge that a user's own token asks for."""
        return self._merges.hit(user_id, MERGES)

    def is_admin_key(self, text: str) -> bool:
        """True for the key of the setting."""
        return bool(self._admin_hash) and is_equal(hash_of(text), self._admin_hash)

    def is_secret(self, text: str) -> bool:
        """True if a text that does not belong there, such as a URL, has a secret key in it."""
        return SECRET in text or bool(self._admin_key and self._admin_key in text)

    def name_of(self, key_id: str) -> str:
        """The name of a key; empty for what is none of the table."""
        key = self._keys.get(key_id)
        return key.name if key else ""

    def knows_origin(self, origin: str) -> bool:
        """True if pages of this origin may call the service with a browser key."""
        return origin in self.origins or ANY_ORIGIN in self.origins

    def __repr__(self) -> str:
        return f"Gate({self._mode}, {len(self._keys)} keys)"


def _token_scopes(issuer: Principal, claims: Claims) -> frozenset[str]:
    """The claimed scopes that the issuer has; `pipes:read` becomes that of single pipes where the issuer has only those."""
    claimed = frozenset(claims.scopes) & ({READ, EVENTS} if claims.params.get("user_id") else {READ})
    if ADMIN in issuer.scopes:
        return claimed
    of_pipes = {scope for scope in issuer.scopes if scope.startswith(f"{READ}:")} if READ in claimed else set()
    return frozenset({scope for scope in claimed if may(issuer, scope)} | of_pipes)


def may_issue(principal: Principal, pipes: frozenset[str]) -> str:
    """The first of these pipes that a principal may not ask, and so not hand on; empty if there is none."""
    return min((name for name in pipes if not reads(principal, name)), default="")


def _without_use(keys: dict[str, Key]) -> list[tuple[object, ...]]:
    return [(k.key_id, k.hash, k.scopes, k.origins, k.rate, k.expires_at, k.revoked_at) for k in keys.values()]


def _now() -> datetime:
    return datetime.now(UTC)
