"""Users as they are sent: attributes of each kind, faults with the field, and what is taken of other formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alsobought.errors import PipeFault
from alsobought.pipes.attribute_file import listed_attributes_of, parse_attributes
from alsobought.pipes.placeholder_file import placeholders_of
from alsobought.users import MAX_ATTRIBUTES, attribute_problem, listed_attributes, read_users, value_of, words_of
from tests.conftest import NOON
from tests.support.project import ROOT


def problem_of(body: Any) -> str:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    users, rejected = read_users([raw], 65_536, NOON, placeholders=placeholders_of(ROOT))
    assert len(users) + len(rejected) == 1
    return rejected[0].problem if rejected else ""


@pytest.mark.parametrize(
    ("value", "words", "shown"),
    [
        ("pro", ["pro"], "pro"),
        (" pro ", ["pro"], "pro"),
        (34, ["34"], 34),
        (34.0, ["34"], 34),
        (-1.5, ["-1.5"], -1.5),
        ("34", ["34"], 34),
        ("007", ["007"], "007"),
        ("1.50", ["1.50"], "1.50"),
        ("12345678901234567890", ["12345678901234567890"], "12345678901234567890"),
        (True, ["true"], True),
        ("false", ["false"], False),
    ],
)
def test_an_attribute_keeps_its_value_and_numbers_are_numbers(value: Any, words: list[str], shown: Any) -> None:
    assert words_of(value) == words
    assert (value_of(words, is_list=False), type(value_of(words, is_list=False))) == (shown, type(shown))


def test_a_list_is_one_again_and_what_is_empty_clears() -> None:
    assert words_of(["vip", "b2b", "vip", "", 7, True]) == ["vip", "b2b", "7", "true"]
    assert value_of(["vip"], is_list=True) == ["vip"]
    assert [words_of(value) for value in (None, "", "  ", [], [""])] == [[]] * 5


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        (
            {"address": {"city": "Ulm"}},
            "attributes.address: an object; an attribute is a word, a number, true or false",
        ),
        ({"tags": [["a"]]}, "attributes.tags: a list in a list; an attribute is"),
        ({"tags": ["a", None]}, "attributes.tags: null in a list; an attribute is"),
        ({"home address": "x"}, "attributes: 'home address' is not a name: letters of a-z, digits, _ and -"),
        ({"7days": "x"}, "attributes: '7days' is not a name"),
        ({"a:b": "x"}, "attributes: 'a:b' is not a name"),
        ({"": "x"}, "attributes: '' is not a name"),
        ({"plan": "x" * 257}, "attributes.plan: longer than 256 bytes"),
        ({"plan": "ä" * 129}, "attributes.plan: longer than 256 bytes"),
        ({"plan": "a\0b"}, "attributes.plan: holds a NUL character"),
        ({"tags": ["a"] * 51}, "attributes.tags: 51 words; at most 50 are accepted"),
        ({f"a{n}": 1 for n in range(51)}, "attributes: 51; a user has at most 50"),
        (["a"], "attributes: expected `object | null`, got `array`"),
    ],
)
def test_a_fault_names_the_attribute_and_what_would_have_worked(attributes: Any, problem: str) -> None:
    assert problem_of({"user_id": "ada", "attributes": attributes}).startswith(problem)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"attributes": {}}, "user_id: missing"),
        ({"user_id": "", "attributes": {}}, "user_id: expected `str` of length >= 1"),
        ({"user_id": "ada", "plan": "pro"}, "plan: not a field of this object; put your own fields under attributes"),
        (
            {"user_id": "undefined"},
            "user_id: 'undefined' is a placeholder, not a user; send the attributes once the user",
        ),
        ({"user_id": "a\0b"}, "user_id: holds a NUL character"),
        ({"user_id": "ada", "timestamp": "2999-01-01T00:00:00Z"}, "timestamp: 2999-01-01T00:00:00Z is more than a day"),
        (b'{"user_id": "ada"', "not JSON"),
        (b"[]", "expected `object`"),
    ],
)
def test_other_faults_name_the_field(body: Any, problem: str) -> None:
    assert problem_of(body).startswith(problem)


def test_a_user_may_have_a_number_as_id_and_the_last_of_two_equal_names_counts() -> None:
    users, rejected = read_users([b'{"user_id": 17, "attributes": {"plan": "free", "plan": "pro"}}'], 1000, NOON)
    assert (rejected, [(user.user_id, user.attributes) for user in users]) == ([], [("17", {"plan": "pro"})])


def test_only_listed_traits_that_can_be_attributes_are_taken() -> None:
    traits = {
        "email": "ada@example.com",
        "firstName": "Ada",
        "phone": "+49 151",
        "birthday": "1990-01-01",
        "address": {"city": "Ulm", "street": "x"},
        "password": "secret",
        "company": {"name": "x"},
        "plan": "pro",
        "age": 34,
        "region": "Bavaria",
        "language": None,
        "segments": ["vip", "b2b"],
        "tier": {"nested": 1},
        "ageGroup": "30-39",
    }
    taken = listed_attributes(traits, listed_attributes_of(ROOT))
    assert taken == {
        "plan": "pro",
        "age": 34,
        "region": "Bavaria",
        "language": None,
        "segments": ["vip", "b2b"],
        "ageGroup": "30-39",
    }
    assert (
        len(listed_attributes({f"a{n}": 1 for n in range(60)}, parse_attributes("attribute String\na*\n")))
        == MAX_ATTRIBUTES
    )


def test_a_shop_changes_the_list_and_its_names_are_attributes(tmp_path: Path) -> None:
    assert "plan" in listed_attributes_of(tmp_path), "a project without the file has that of the package"
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "user_attributes.csv").write_text("attribute String\nshoe_size\n")
    assert [name in listed_attributes_of(tmp_path) for name in ("shoe_size", "plan")] == [True, False]
    with pytest.raises(PipeFault, match=r"has the columns trait\. It needs attribute"):
        parse_attributes("trait String\nplan\n")
    own = [name for name in listed_attributes_of(ROOT).members if "*" not in name]
    assert len(own) > 20
    assert not [name for name in own if attribute_problem(name, "x")]
