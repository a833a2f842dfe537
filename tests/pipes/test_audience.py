"""Which pipes are private: by names, by SQL that compares or renames users, by fallbacks, and by the header."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from alsobought.errors import PipeFault
from alsobought.pipes.audience import Audience, audience, names_user, own_audience
from alsobought.pipes.header import Header, read_header
from alsobought.pipes.pipe import Pipe


@dataclass
class Stub:
    """The part of a valid pipe that is looked at."""

    name: str
    header: Header
    text: str = ""
    columns: list[tuple[str, str]] = field(default_factory=list)

    @property
    def parameters(self) -> Any:
        return self.header.parameters

    @property
    def audience(self) -> Audience:
        return own_audience(cast(Pipe, self))

    def sql(self, _: object) -> str:
        return self.text


def pipe(name: str, *lines: str, sql: str = "", columns: str = "item_id") -> Pipe:
    header = read_header("\n".join(["-- A list.", "--", *(f"-- {line}" for line in lines)]) + "\n\nselect 1\n")
    return cast(Pipe, Stub(name, header, sql, [(column, "String") for column in columns.split()]))


def is_private(asked: Pipe, *others: Pipe, given: tuple[str, ...] = ()) -> bool:
    return audience(asked, {other.name: other for other in others}.get).is_private_with(given)


@pytest.mark.parametrize(
    "name", ["user_id", "other_user_id", "guest_ids", "userId", "session_id", "customer_key", "email", "user_id_2"]
)
def test_names_of_users(name: str) -> None:
    assert names_user(name)


@pytest.mark.parametrize(
    "name", ["users", "item_id", "user", "order_id", "buyers", "session_items", "group_id", "used_id"]
)
def test_names_of_other_things(name: str) -> None:
    assert not names_user(name)


def test_a_needed_user_makes_a_pipe_private_and_an_optional_one_the_requests() -> None:
    assert is_private(pipe("p", ":user_id  String  the user"))
    optional = pipe("p", ":user_id  String?  the user", ":limit  UInt8 = 5  rows")
    assert not is_private(optional, given=("limit",))
    assert is_private(optional, given=("limit", "user_id"))


def test_a_column_of_users_makes_a_pipe_private_also_under_another_name() -> None:
    assert is_private(pipe("p", columns="item_id user_id"))
    assert is_private(pipe("p", sql="select e.user_id as who from events e", columns="who"))
    assert is_private(pipe("p", ":who  String  a user", sql="select 1 where user_id = {who:String}"))
    assert not is_private(pipe("p", sql="select uniq(user_id) as buyers from events", columns="buyers"))


def test_the_header_overrides_what_names_say() -> None:
    assert is_private(pipe("p", "@private  shows faces"))
    public = pipe("p", ":user_id  String  the user", "@public")
    assert not is_private(public, given=("user_id",))


def test_a_fallback_leaks_nothing() -> None:
    asked = pipe("p", "@fallback q  user_id as item_id")
    assert is_private(asked, pipe("q", columns="user_id"))
    assert is_private(pipe("p", "@fallback q"), pipe("q", "@private"))
    assert is_private(pipe("p", "@fallback q"), pipe("q", "@fallback r"), pipe("r", "@private"))
    assert not is_private(pipe("p", "@fallback q"), pipe("q", columns="user_id item_id"))
    assert not is_private(pipe("p", "@fallback p"), pipe("p", "@fallback p"))


def test_private_and_public_exclude_each_other() -> None:
    with pytest.raises(PipeFault, match="@private and @public exclude each other"):
        pipe("p", "@private", "@public")
