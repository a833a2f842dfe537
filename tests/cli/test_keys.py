"""`alsobought key` and `token`, with the service running and without."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.process import Run, running, serving


def status(url: str, key: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_keys_are_made_and_revoked_beside_a_running_service(run_migrated: Run) -> None:
    first = run_migrated("key", "create", "first", "--scope", "metrics")
    with serving(run_migrated) as service:
        url = f"{service.url}/metrics"
        assert (status(url), status(url, first.out.strip())) == (401, 200)
        second = run_migrated("key", "create", "second", "--scope", "admin", "--json")
        made = json.loads(second.out)
        time.sleep(1)  # an unknown key reads the table at most once a second
        assert status(url, made["key"]) == 200
        assert run_migrated("key", "revoke", made["id"]).status == 0
        time.sleep(2)
        assert status(url, made["key"]) == 401
        (listed, revoked) = json.loads(run_migrated("key", "ls", "--json").out)
        assert (listed["name"], listed["scopes"], listed["state"]) == ("first", ["metrics"], "valid")
        assert (revoked["name"], revoked["state"]) == ("second", "revoked")
        token = run_migrated("token", "create", "--user", "ada").out.strip()
        assert status(f"{service.url}/pipes/recently_viewed", token) == 200
        entries = json.loads(run_migrated("audit", "ls", "--json", "--since", "1h").out)
        shown = run_migrated("audit", "ls", "--action", "key.revoke").out
    actions = [(entry["action"], entry["object"], entry["outcome"], entry["via"]) for entry in entries]
    ids = [f"key {revoked['id']}", f"key {listed['id']}"]
    (token_of, *_), created = actions, ("key.create", ids[1], "done", "command line")
    assert (token_of[0], token_of[1].startswith("user ")) == ("token.create", True)
    assert actions[1:4] == [("key.revoke", ids[0], *created[2:]), ("key.create", ids[0], *created[2:]), created]
    assert "ada" not in json.dumps(entries[0])
    assert f"key.revoke {ids[0]}" in shown
    assert "name=second" in shown
    assert "key" not in listed
    used = json.loads(run_migrated("key", "ls", "--json").out)[0]["used_at"]
    assert used, "noted when the service stopped"


def test_a_rotated_key_overlaps_and_keeps_its_rights(run_migrated: Run) -> None:
    page = ("--browser", "--origin", "https://shop.example", "--rate", "60/minute")
    made = json.loads(run_migrated("key", "create", "page", *page, "--json").out)
    rotated = json.loads(run_migrated("key", "rotate", "page", "--overlap", "2h", "--json").out)
    assert rotated["key"].startswith("ab_public_")
    same = ("name", "kind", "scopes", "origins", "rate")
    assert [rotated[name] for name in same] == [made[name] for name in same]
    old, new = json.loads(run_migrated("key", "ls", "--json").out)
    assert (old["id"], new["id"], new["expires_at"]) == (made["id"], rotated["id"], None)
    assert old["expires_at"] > made["created_at"]
    refused = run_migrated("key", "rotate", "page")
    assert (refused.status, "2 keys are called 'page'" in refused.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("create", "x", "--role", "king"), "The roles are analyst and admin"),
        (("create", "x"), "Add --scope"),
        (("create", "x", "--scope", "pipes:raad"), "'pipes:raad' is not a scope"),
        (("create", "x", "--scope", "pipes:read:nothing"), "names no pipe"),
        (("create", "x", "--browser"), "without an origin"),
        (("create", "x", "--scope", "admin", "--rate", "many"), "is not a rate"),
        (("create", "x", "--scope", "admin", "--expires", "soon"), "write 90d, 24h or 30m"),
    ],
)
def test_what_cannot_be_a_key_is_refused_before_the_warehouse_is_opened(
    tmp_path: Path, words: tuple[str, ...], problem: str
) -> None:
    ran = running(tmp_path / "data")("key", *words)
    assert ran.status in (1, 2)
    assert problem in ran.err
    assert not (tmp_path / "data").exists()


def test_beyond_this_machine_serve_needs_a_key(run_migrated: Run) -> None:
    refused = run_migrated("serve", ALSOBOUGHT_HOST="0.0.0.0")  # noqa: S104
    assert refused.status == 4
    assert "Run `alsobought key create admin --scope admin`" in refused.err
