"""Files of users: listed columns are attributes, others need a flag, and a file of all users removes the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from alsobought.errors import Unusable
from alsobought.loading.files import Layout, open_rows
from alsobought.loading.full_feed import FullFeed
from alsobought.loading.loader import LoadTask, load_file
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.preflight import check_sample
from alsobought.loading.rejects import Rejects
from alsobought.loading.submitter import Report
from alsobought.pipes.intake_rules import intake_rules
from alsobought.service.service import Service
from alsobought.users import User
from alsobought.writer.submission import Submission
from alsobought.writer.user_rows import shown_user, stored_users

EXCEL = "\ufeffuser_id;Region;age;plan\r\n1001;Baden-Württemberg;34;pro\r\n1002;;007;\r\n".encode()


@pytest.fixture
def load(shop: Service, tmp_path: Path) -> Callable[..., Report]:
    def load(content: bytes, name: str = "users.csv", *, feed: FullFeed | None = None, **flags: Any) -> Report:
        path = tmp_path / name
        path.write_bytes(content)
        rules, columns = intake_rules(shop.settings, shop.clock()), ColumnMapping(**flags)
        with open_rows(path, Layout()) as rows:
            columns = check_sample(rows, "users", columns, rules, force=False)
        task = LoadTask("users", path, columns=columns, replace=feed is not None, feed=feed)
        rejects = Rejects(tmp_path / "rejected.ndjson")
        return load_file(task, shop.writer, rules, rejects, lambda _: nullcontext(lambda _: None))

    return load


def users(shop: Service, *names: str) -> dict[str, Any]:
    return {row.user_id: shown_user(row)["attributes"] for row in stored_users(shop.warehouse, names).values()}


def test_a_file_of_excel_has_attributes_and_an_empty_cell_is_none(load: Callable[..., Report], shop: Service) -> None:
    report = load(EXCEL)
    assert (report.stored, report.rejected) == (2, 0)
    assert users(shop, "1001", "1002") == {
        "1001": {"Region": "Baden-Württemberg", "age": 34, "plan": "pro"},
        "1002": {"age": "007"},
    }
    load(b"user_id;plan\n1001;free\n1002;\n", "later.csv")
    assert users(shop, "1001")["1001"] == {"Region": "Baden-Württemberg", "age": 34, "plan": "free"}


def test_columns_that_are_not_listed_need_a_flag(load: Callable[..., Report], shop: Service) -> None:
    content = b"Kundennummer,Bundesland,email,plan\n17,Bayern,a@example.com,pro\n"
    with pytest.raises(Unusable) as error:
        load(content, mapped={"user_id": "Kundennummer"})
    assert error.value.message.endswith(
        "'Bundesland', 'email' are not listed in sql/user_attributes.csv, so that no personal data is stored by chance"
    )
    assert error.value.hint == (
        "Pass --drop Bundesland to leave it out, --map ATTRIBUTE=Bundesland to store it,"
        " or --drop-rest or --keep-rest for all of them"
    )
    load(content, mapped={"user_id": "Kundennummer", "region": "Bundesland"}, drop_rest=True)
    assert users(shop, "17") == {"17": {"region": "Bayern", "plan": "pro"}}
    load(b"user_id,shoe size\n18,44\n", mapped={"shoe_size": "shoe size"}, constants={"country": "DE"})
    load(b"user_id,shoe\n18,45\n", keep_rest=True)
    assert users(shop, "18") == {"18": {"country": "DE", "shoe_size": 44, "shoe": 45}}
    with pytest.raises(Unusable, match=r"has no column user_id"):
        load(b"id,plan\n18,x\n", drop_rest=True)


def test_json_has_lists_and_nulls_and_both_forms(load: Callable[..., Report], shop: Service) -> None:
    lines: list[dict[str, Any]] = [
        {"user_id": "a", "attributes": {"plan": "pro", "tags": ["x", "y"]}},
        {"user_id": "b", "plan": "pro", "segments": ["x"]},
        {"user_id": "a", "plan": None},
        {"user_id": "c", "attributes": {"address": {"city": "Ulm"}}},
        {"user_id": "undefined", "plan": "x"},
    ]
    report = load("\n".join(map(json.dumps, lines)).encode(), "users.ndjson")
    assert (report.stored, report.rejected) == (3, 2)
    assert users(shop, "a", "b", "c") == {"a": {"tags": ["x", "y"]}, "b": {"plan": "pro", "segments": ["x"]}}
    load(b'user_id,segments\nd,"[""x"", ""y""]"\n')
    assert users(shop, "d") == {"d": {"segments": ["x", "y"]}}


def test_a_file_of_all_users_deletes_the_attributes_of_others(load: Callable[..., Report], shop: Service) -> None:
    given = [User(user_id=user, attributes={"plan": "pro", "age": 7}) for user in "abcde"]
    shop.writer.submit(Submission(given)).result(30)
    feed = FullFeed(0.2, "users")
    load(b"user_id,plan\na,free\nb,free\nc,free\nd,free\n", feed=feed)
    assert feed.remove_others(shop.writer, 0, dry_run=True) == "1 of 5 users would be without attributes now"
    assert feed.remove_others(shop.writer, 0) == "1 of 5 users without attributes now"
    assert users(shop, *"ae") == {"a": {"plan": "free"}, "e": {}}
    with pytest.raises(
        Unusable, match=r"4 of 4 users with attributes \(100 %\) are not in the feed: no attributes are"
    ):
        FullFeed(0.2, "users").remove_others(shop.writer, 0)
