"""Variants of one product: over pages, in filled lists, with pins, and as soon as the catalogue changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.service.service import Service
from alsobought.storage.results import Rows
from alsobought.storage.variants import CatalogueVariants
from alsobought.web.factory import create_app
from tests.support.project import ROOT, project_folder

SHIRTS = [{"item_id": f"shirt-{size}", "group_id": "shirt"} for size in ("s", "m", "l")]
RULES = (ROOT / "sql" / "rules.csv").read_text().split("\n", 1)[0] + "\n"
EXCLUDED = {"item_id": "mug", "exclude": "shirt-s"}


def bought(*items: str, user: str = "eve", order: str = "") -> list[dict[str, str]]:
    """An item that is named again is bought by somebody else again: popularity counts people."""
    return [
        {
            "event_type": "purchase",
            "user_id": f"{user}{items[:n].count(item) or ''}",
            "item_id": item,
            "order_id": order,
        }
        for n, item in enumerate(items)
    ]


def post(client: FlaskClient, path: str, *rows: dict[str, Any]) -> None:
    assert client.post(f"/{path}?wait=true", json=rows).status_code == 200


def body(client: FlaskClient, pipe: str, **parameters: Any) -> dict[str, Any]:
    response = client.get(f"/pipes/{pipe}", query_string=parameters)
    assert response.status_code == 200, response.get_json()
    answer: dict[str, Any] = response.get_json()
    return answer


def items(client: FlaskClient, pipe: str = "popular", **parameters: Any) -> list[str]:
    data = body(client, pipe, **parameters)["data"]
    return [row.get("other_item_id") or row["item_id"] for row in data]


def test_a_later_page_repeats_no_variant_although_ranks_move(client: FlaskClient) -> None:
    post(client, "items", *SHIRTS)
    post(client, "events", *bought("shirt-m", "shirt-m", "mug", "mug", "mug", "pot", "pot", "pan"))
    first = body(client, "popular", limit=2)
    assert [row["item_id"] for row in first["data"]] == ["mug", "shirt-m"]
    post(client, "events", *bought("shirt-l", "shirt-l", "shirt-l", "shirt-l"))
    assert items(client, limit=1) == ["shirt-l"]
    second = body(client, "popular", limit=2, cursor=first["next"])
    assert [row["item_id"] for row in second["data"]] == ["pot", "pan"]
    post(client, "items", {"item_id": "shirt-l", "stock": 0})
    assert items(client, limit=2, cursor=first["next"]) == ["pot", "pan"]


def test_lists_of_several_items_are_filled_without_variants_of_theirs(client: FlaskClient) -> None:
    post(client, "items", *SHIRTS)
    post(client, "events", *bought("shirt-m", "shirt-m", "mug"))
    data = body(client, "also_bought", item_id=["shirt-s", "mug", "pot"])["data"]
    lists = {asked: [row["other_item_id"] for row in data if row["item_id"] == asked] for asked in ("shirt-s", "mug")}
    assert lists == {"shirt-s": ["mug"], "mug": ["shirt-m"]}
    assert items(client, "also_bought", **EXCLUDED) == []


def test_a_change_of_a_group_is_in_the_next_answer(client: FlaskClient) -> None:
    post(client, "events", *bought("shirt-s", "shirt-m", "shirt-m", "shirt-l", "shirt-l", "shirt-l"))
    apart = ["shirt-l", "shirt-m", "shirt-s"]
    assert items(client) == apart
    post(client, "items", *SHIRTS)
    assert items(client) == ["shirt-l"]
    post(client, "items", {"item_id": "shirt-m", "group_id": "other"})
    assert items(client) == ["shirt-l", "shirt-m"]
    post(client, "items", {"item_id": "shirt-l", "available": False})
    assert items(client) == ["shirt-s", "shirt-m"]
    post(client, "items", *[{"item_id": item, "group_id": None, "available": True} for item in apart])
    assert items(client) == apart
    post(client, "items", *SHIRTS)
    assert client.delete("/items/shirt-l?wait=true").status_code == 200
    assert items(client) == ["shirt-m"]


def test_a_variant_that_nobody_bought_stands_in_for_one_that_is_sold_out(client: FlaskClient) -> None:
    post(client, "items", *SHIRTS)
    post(client, "events", *bought("shirt-m", "mug", user="bob", order="o1"), *bought("mug", user="ada", order="o2"))
    asked = ({"pipe": "also_bought", "item_id": "mug"}, {"pipe": "for_you", "user_id": "ada"}, {"pipe": "trending"})
    for parameters in asked:
        assert "shirt-m" in items(client, **parameters)
    post(client, "items", {"item_id": "shirt-m", "stock": 0})
    for parameters in asked:
        assert {"shirt-l", "shirt-m"} & set(items(client, **parameters)) == {"shirt-l"}
    post(client, "items", {"item_id": "shirt-l", "stock": 0}, {"item_id": "shirt-s", "stock": 0})
    for parameters in asked:
        assert not [item for item in items(client, **parameters) if item.startswith("shirt")]


def test_a_cached_answer_about_one_size_has_the_orders_of_the_others(client: FlaskClient) -> None:
    """With one row each, no fallback fills the list, whose events would make the answer stale as well."""
    asked = {"item_id": "shirt-m", "min_baskets": 1, "limit": 1}
    post(client, "items", *SHIRTS)
    post(client, "events", *bought("shirt-m", "cap", order="o1"))
    for pipe in ("also_bought", "bought_together"):
        assert [row["baskets"] for row in body(client, pipe, **asked)["data"]] == [1]
    post(client, "events", *bought("shirt-l", "cap", order="o2"), *bought("shirt-l", "cap", order="o3"))
    for pipe in ("also_bought", "bought_together"):
        assert [row["baskets"] for row in body(client, pipe, **asked)["data"]] == [3]


def test_items_that_the_catalogue_lacks_are_no_group(client: FlaskClient) -> None:
    post(client, "items", *SHIRTS)
    post(client, "events", *bought("mug", "mug", "pot"))
    assert items(client, limit=2) == ["mug", "pot"]


@pytest.mark.thorough
def test_a_pin_takes_the_place_of_its_variants(make_shop: Callable[..., Service], tmp_path: Path) -> None:
    home = project_folder(tmp_path / "home", "pipes", "sql", "migrations")
    (home / "sql" / "rules.csv").write_text(RULES + "trending,pin,shirt-s,,2,,\nalso_bought,pin,shirt-l,,1,,\n")
    client = create_app(make_shop(home=str(home))).test_client()
    post(client, "items", *SHIRTS)
    post(client, "events", *bought("shirt-m", "shirt-m", "shirt-m", "mug", "mug", "pot"))
    assert items(client, "trending") == ["mug", "shirt-s", "pot"]
    assert items(client, "trending", exclude="shirt-l") == ["mug", "pot"]
    post(client, "events", *bought("shirt-m", "mug", order="o1"))
    shown = body(client, "also_bought", item_id=["shirt-m", "mug"])["data"]
    lists = [(row["item_id"], row["other_item_id"]) for row in shown if row["source"] == "also_bought"]
    assert sorted(lists) == [("mug", "shirt-l"), ("shirt-m", "mug")]


def test_exploration_and_diversity_choose_among_products(client: FlaskClient) -> None:
    post(client, "items", *SHIRTS)
    post(client, "events", *bought("shirt-m", "shirt-m", "shirt-l", "mug", "mug", "pot"))
    for parameters in ({"explore": 0.5}, {"diversity": 0.5}, {"per_category": 1}):
        shown = items(client, "trending", **parameters)
        assert sorted(shown) == ["mug", "pot", "shirt-m"], parameters


class FakeCatalogue:
    """A reader of a catalogue in which items are in groups, and what was asked of it."""

    def __init__(self, groups: dict[str, int]) -> None:
        self.groups, self.asked = groups, list[Any]()

    def rows(self, _: str, parameters: Any = None) -> Rows:
        wanted = (parameters or {}).get("items")
        self.asked.append(wanted)
        data: list[list[Any]] = [[1]] if self.groups else []
        if wanted is not None:
            groups = {item: self.groups.get(item, 0) for item in wanted}
            data = [
                [item, group, [one for one in self.groups if self.groups[one] == group]]
                for item, group in groups.items()
            ]
        return Rows([], data, None)  # type: ignore[arg-type]

    def value(self, _: str, __: Any = None) -> Any:
        raise NotImplementedError


def test_groups_are_read_once_until_the_catalogue_changes() -> None:
    catalogue = FakeCatalogue({"a": 7, "b": 7})
    variants = CatalogueVariants(catalogue)
    assert variants.groups(["a", "c"]) == {"a": 7}
    assert variants.groups(["a", "b"]) == {"a": 7, "b": 7}
    assert variants.groups(["c", "b"]) == {"b": 7}
    assert sorted(variants.with_variants(["a", "c"])) == ["a", "b", "c"]
    assert catalogue.asked == [None, ["a", "c"], ["b"]]
    catalogue.groups = {}
    variants.forget()
    assert (variants.exist, variants.groups(["a"])) == (False, {})
    assert variants.with_variants(["a"]) == ["a"]


@pytest.mark.parametrize("groups", [{}, {"a": 1}])
def test_a_catalogue_without_groups_is_asked_for_none(groups: dict[str, int]) -> None:
    catalogue = FakeCatalogue(groups)
    CatalogueVariants(catalogue).groups(["b"])
    assert catalogue.asked == ([None, ["b"]] if groups else [None])
