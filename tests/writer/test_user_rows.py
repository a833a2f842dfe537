"""What is stored of a user: later posts change earlier ones, an account takes over what it lacks, and an unmerge undoes that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from alsobought.storage.identities import Identities
from alsobought.users import MAX_ATTRIBUTES, User
from alsobought.writer.user_rows import UserRow, changed_user, changed_users, known_users, merged_users, unmerged_users
from tests.conftest import NOON

ADA = UserRow("ada", {"plan": ["pro"], "tags": ["a", "b"]}, ["tags"], version=3, updated_at=NOON)


@pytest.mark.parametrize(
    ("user", "attributes", "lists"),
    [
        ({"attributes": {"age": 34}}, {"plan": ["pro"], "tags": ["a", "b"], "age": ["34"]}, ["tags"]),
        ({"attributes": {"plan": None}}, {"tags": ["a", "b"]}, ["tags"]),
        ({"attributes": {"plan": ""}}, {"tags": ["a", "b"]}, ["tags"]),
        ({"attributes": {"tags": "a"}}, {"plan": ["pro"], "tags": ["a"]}, []),
        ({"attributes": {"plan": ["pro"]}}, {"plan": ["pro"], "tags": ["a", "b"]}, ["plan", "tags"]),
        ({"attributes": {"age": 34}, "replace": True}, {"age": ["34"]}, []),
        ({"attributes": None}, {}, []),
        ({"replace": True}, {}, []),
        ({"removed": True}, {}, []),
        ({}, {"plan": ["pro"], "tags": ["a", "b"]}, ["tags"]),
    ],
)
def test_a_post_changes_what_it_names(user: dict[str, Any], attributes: dict[str, list[str]], lists: list[str]) -> None:
    row = changed_user(ADA, User(user_id="ada", **user))
    assert (row.attributes, row.lists, row.removed) == (attributes, lists, not attributes)


def test_of_too_many_attributes_those_remain_that_were_sent_last() -> None:
    row = UserRow("ada", removed=True)
    for first in range(0, 80, 20):
        row = changed_user(row, User(user_id="ada", attributes={f"a{n}": n for n in range(first, first + 20)}))
    assert list(row.attributes) == [f"a{n}" for n in range(80 - MAX_ATTRIBUTES, 80)]


def test_later_users_of_a_post_change_earlier_ones_and_unchanged_ones_need_no_row() -> None:
    sent = [User(user_id="ada", attributes={"plan": "free"}), User(user_id="ada", attributes={"plan": "pro"})]
    assert changed_users(sent, {"ada": ADA}, {}, 7, NOON) == []
    assert changed_users([User(user_id="bruno")], {}, {}, 7, NOON) == []
    guest = [User(user_id="s1", attributes={"plan": "free"}), User(user_id="bruno", attributes={"age": 7})]
    rows = changed_users(guest, {"ada": ADA}, {"s1": "ada"}, 7, NOON)
    assert [(row.user_id, row.attributes, row.version) for row in rows] == [
        ("ada", {"tags": ["a", "b"], "plan": ["free"]}, 7),
        ("bruno", {"age": ["7"]}, 8),
    ]


def test_what_was_known_before_a_user_was_forgotten_is_dropped() -> None:
    forgotten = Identities(forgotten={"ada": NOON})
    late, new = NOON - timedelta(hours=1), NOON + timedelta(hours=1)
    users = [
        User(user_id="ada", timestamp=late),
        User(user_id="ada", timestamp=new),
        User(user_id="bruno", timestamp=late),
    ]
    assert known_users(users, forgotten, [new] * 3, new) == users[1:]
    assert known_users(users, forgotten, [late] * 3, new) == users[2:], "Kafka had all before"
    assert known_users([User(user_id="ada")], forgotten, [new], new) == [User(user_id="ada")]


def test_an_account_takes_over_what_it_lacks_and_an_unmerge_takes_that_back() -> None:
    guest = UserRow("s1", {"plan": ["free"], "region": ["Bavaria"], "langs": ["de"]}, ["langs"])
    account, merged = merged_users(guest, ADA, 9, NOON)
    assert account.attributes == {"plan": ["pro"], "tags": ["a", "b"], "region": ["Bavaria"], "langs": ["de"]}
    assert (account.lists, account.version) == (["langs", "tags"], 9)
    assert (merged.given, merged.removed, merged.attributes) == (["region", "langs"], True, guest.attributes)
    assert merged_users(merged, account, 9, NOON) == [], "after a crash it is not done twice"
    moved = changed_user(account, User(user_id="ada", attributes={"region": "Berlin"}))
    again, own = unmerged_users(merged, [moved], 11, NOON)
    assert again.attributes == {"plan": ["pro"], "tags": ["a", "b"], "region": ["Berlin"]}
    assert (own.attributes, own.given, own.removed) == (guest.attributes, [], False)
    assert unmerged_users(own, [again], 11, NOON) == []


def test_a_merge_and_an_unmerge_of_users_without_attributes_store_nothing() -> None:
    nobody = UserRow("s1", removed=True)
    assert merged_users(nobody, ADA, 9, NOON) == unmerged_users(nobody, [ADA], 9, NOON) == []
    account, _ = merged_users(UserRow("s1", {"plan": ["free"]}), UserRow("ada", removed=True), 9, NOON)
    assert (account.attributes, account.removed) == ({"plan": ["free"]}, False)
