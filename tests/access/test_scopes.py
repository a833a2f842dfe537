"""What a principal may do, as pure functions."""

from __future__ import annotations

import pytest

from alsobought.access.credentials import hash_of, id_of, new_key, without_secrets
from alsobought.access.keys import NewKey, checked_origin
from alsobought.access.scopes import Principal, checked_scopes, may, may_ask
from alsobought.errors import Unusable
from alsobought.pipes.audience import Audience

NOBODY = Audience()
OPTIONAL_USER = Audience(parameters=frozenset({"user_id"}))
ABOUT_USER = Audience(frozenset({"user_id"}), frozenset({"user_id"}))
SHOWS_OTHERS = Audience(frozenset({"user_id"}), frozenset({"user_id"}), frozenset({"other_user_id"}))
LISTS_USERS = Audience(columns=frozenset({"user_id"}))
READS = frozenset({"pipes:read"})


def test_admin_may_do_all_and_a_writer_may_read() -> None:
    assert may(Principal("secret", scopes=frozenset({"admin"})), "users:write")
    writer = Principal("secret", scopes=frozenset({"users:write"}))
    assert [may(writer, scope) for scope in ("users:read", "items:read", "metrics", "admin")] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("users", "given", "expected"),
    [
        (NOBODY, [], True),
        (OPTIONAL_USER, ["item_id"], True),
        (OPTIONAL_USER, ["user_id"], False),
        (ABOUT_USER, ["user_id"], False),
        (LISTS_USERS, [], False),
        (Audience(declared="private"), [], False),
        (Audience(frozenset({"user_id"}), frozenset({"user_id"}), declared="public"), ["user_id"], True),
    ],
)
def test_a_browser_key_asks_nothing_about_a_user(users: Audience, given: list[str], expected: bool) -> None:
    assert may_ask(Principal("browser", scopes=READS), "p", users, given) is expected
    assert may_ask(Principal("secret", scopes=READS), "p", users, given)


@pytest.mark.parametrize(
    ("users", "given", "pipes", "expected"),
    [
        (NOBODY, [], None, True),
        (OPTIONAL_USER, ["user_id"], None, True),
        (ABOUT_USER, ["user_id"], None, True),
        (SHOWS_OTHERS, ["user_id"], None, False),
        (SHOWS_OTHERS, ["user_id"], {"p"}, True),
        (LISTS_USERS, [], None, False),
        (Audience(frozenset({"guest_id"})), ["guest_id"], {"p"}, False),
        (NOBODY, [], {"other"}, False),
    ],
)
def test_a_token_asks_about_its_user_only(
    users: Audience, given: list[str], pipes: set[str] | None, expected: bool
) -> None:
    named = None if pipes is None else frozenset(pipes)
    token = Principal("token", scopes=READS, fixed={"user_id": "ada"}, pipes=named)
    assert may_ask(token, "p", users, given) is expected


def test_a_scope_of_one_pipe_covers_no_other() -> None:
    one = Principal("secret", scopes=frozenset({"pipes:read:popular"}))
    assert may_ask(one, "popular", NOBODY)
    assert not may_ask(one, "popular_too", NOBODY)


@pytest.mark.parametrize("scope", ["pipes:raad", "pipes:read:", "pipes:read:../x", "pipes:read:NAME", "ADMIN", ""])
def test_what_is_no_scope_is_refused(scope: str) -> None:
    with pytest.raises(Unusable, match="is not a scope"):
        checked_scopes([scope], browser=False)


@pytest.mark.parametrize("scope", ["items:write", "users:read", "metrics", "edit", "admin"])
def test_a_browser_key_gets_no_scope_of_a_server(scope: str) -> None:
    with pytest.raises(Unusable, match="everybody can read such a key"):
        NewKey(name="page", scopes=(scope,), browser=True, origins=("https://shop.example",)).checked()


def test_a_browser_key_needs_an_origin_and_a_secret_key_has_none() -> None:
    with pytest.raises(Unusable, match="without an origin"):
        NewKey(name="page", browser=True).checked()
    with pytest.raises(Unusable, match="only browser keys have origins"):
        NewKey(name="shop", scopes=("admin",), origins=("https://shop.example",)).checked()


@pytest.mark.parametrize(
    "text", ["shop.example", "https://shop.example/path", "ftp://x", "https://u@shop.example", "https://[", "null"]
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match="is not an origin"):
        checked_origin(text)


def test_keys_are_distinct_and_carry_their_id() -> None:
    (first, first_id), (second, second_id) = new_key("secret"), new_key("browser")
    assert first.startswith(f"ab_secret_{first_id}_")
    assert second.startswith(f"ab_public_{second_id}_")
    assert (id_of(first), id_of(first + "x"), id_of(first.upper()), id_of("")) == (first_id, "", "", "")
    assert hash_of(first) != hash_of(second)
    assert without_secrets(f"at /x?k={first}!") == f"at /x?k=ab_secret_{first_id}…!"
