"""Signed tokens, attacked."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import jwt
import pytest

from alsobought.access.tokens import Grant, Signer
from alsobought.errors import AlsoboughtError, NotAllowed, NotAuthenticated, Unusable
from alsobought.signing_secrets import SigningSecrets

OLD, NEW = "o" * 64, "n" * 64
GRANT = Grant(params={"user_id": "ada"})


def signer(secrets: str = NEW, audience: str = "shop") -> Signer:
    return Signer(SigningSecrets(secrets, None), audience, 3600)


def claims(**changed: object) -> dict[str, object]:
    now = int(time.time())
    made = {"aud": "shop", "iat": now, "exp": now + 60, "params": {"user_id": "ada"}} | changed
    return {name: value for name, value in made.items() if value is not None}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_token_carries_what_was_granted() -> None:
    text, expires = signer().sign(Grant(params={"user_id": "ada"}, pipes=("for_you",), seconds=60), "k1")
    read = signer().verify(text)
    assert (read.params, read.pipes, read.sub, read.exp) == ({"user_id": "ada"}, ("for_you",), "k1", expires)
    assert expires - time.time() <= 60


@pytest.mark.parametrize(
    "text",
    [
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}.",
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}.AAAA",
        f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims())}.AAAA",
        jwt.encode(claims(), NEW, algorithm="HS512"),
        jwt.encode(claims(), "x" * 64, algorithm="HS256"),
        jwt.encode(claims(exp=None), NEW, algorithm="HS256"),
        jwt.encode(claims(aud="other"), NEW, algorithm="HS256"),
        jwt.encode(claims(aud=None), NEW, algorithm="HS256"),
        jwt.encode(claims(exp=int(time.time()) + 7200), NEW, algorithm="HS256"),
        jwt.encode(claims(exp=int(time.time()) - 60), NEW, algorithm="HS256"),
        jwt.encode(claims(params={"user_id": ["ada", "bob"]}), NEW, algorithm="HS256"),
        jwt.encode(claims(scopes="admin"), NEW, algorithm="HS256"),
    ],
)
def test_a_token_that_is_not_ours_or_not_valid_is_refused(text: str) -> None:
    with pytest.raises(NotAuthenticated):
        signer().verify(text)


def test_a_changed_payload_is_refused() -> None:
    head, _, signature = signer().sign(GRANT, "")[0].split(".")
    with pytest.raises(NotAuthenticated):
        signer().verify(f"{head}.{part(claims(params={'user_id': 'bob'}))}.{signature}")


def test_an_old_secret_verifies_and_the_new_one_signs() -> None:
    old_text, _ = signer(OLD).sign(GRANT, "")
    both = signer(f"{NEW},{OLD}")
    assert both.verify(old_text).params == {"user_id": "ada"}
    assert signer(NEW).verify(both.sign(GRANT, "")[0])
    with pytest.raises(NotAuthenticated):
        signer(NEW).verify(old_text)


@pytest.mark.parametrize(
    ("grant", "problem"),
    [
        (Grant(params={"User_Id": "ada"}), "cannot be fixed"),
        (Grant(params={"user_id": ""}), "cannot be fixed"),
        (Grant(scopes=("admin",)), "cannot have the scope 'admin'"),
        (Grant(scopes=("events:write",)), "events of one user"),
        (Grant(seconds=3601), "not between 1 and 3,600"),
        (Grant(seconds=0), "not between"),
        (Grant(origin="shop"), "is not an origin"),
    ],
)
def test_what_a_token_cannot_have_is_not_signed(grant: Grant, problem: str) -> None:
    if grant.seconds == 0:
        grant = Grant(seconds=-1)
    with pytest.raises(AlsoboughtError, match=problem):
        signer().sign(grant, "")


def test_the_secret_is_made_in_the_folder_when_needed_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    assert SigningSecrets("", tmp_path).to_verify() == []
    made = SigningSecrets("", tmp_path).to_sign()
    (file,) = tmp_path.iterdir()
    assert (file.stat().st_mode & 0o777, len(made)) == (0o600, 64)
    assert SigningSecrets("", tmp_path).to_verify() == [made]


def test_a_server_needs_the_setting_and_a_short_secret_is_refused() -> None:
    with pytest.raises(NotAllowed, match="ALSOBOUGHT_TOKEN_SECRET is not set"):
        SigningSecrets("", None).to_sign()
    with pytest.raises(Unusable, match="fewer than 32 characters"):
        SigningSecrets("short", None)
