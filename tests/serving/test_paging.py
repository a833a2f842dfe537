"""Lists in pages: to their end without loss, and without repeating a row while the shop changes."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest
from flask.testing import FlaskClient

from alsobought.demo import toyshop
from alsobought.pipes.fallbacks import item_column
from alsobought.pipes.parameters import Parameter
from alsobought.service.service import Service
from alsobought.serving import paging
from alsobought.serving.cursor import HASH_BITS, Shown, decode, encode
from alsobought.web.factory import create_app
from tests.support.project import ROOT, project_folder
from tests.support.web import error_of

UNTIL = datetime(2026, 3, 1, 12, tzinfo=UTC)
REQUIRED = {"item_id": "green-tea", "user_id": "ada"}
WITHOUT_PAGES = {
    "item_embedding",
    "recommendation_coverage",
    "recommendation_metrics",
    "explored_impressions",
    "shadow_estimates",
    "shadow_metrics",
}  # the toy shop has no experiment and no shadow
BRANDS = """-- Brands, those with the most items first.
--
-- :limit  UInt8 = 3 (1..5)  number of brands
select brand, count() as number
from items
group by brand
order by number desc, brand
limit {{ limit }}
"""
PIPES = sorted(path.stem for path in (ROOT / "pipes").glob("*.sql"))
Query = list[tuple[str, Any]]


@pytest.fixture(scope="module")
def toys(make_shared_shop: Callable[..., Service], tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The toy shop, in a project folder of its own. Twelve of its users can be found like items. All fits into one answer.

    Diversity and the like choose among 20 candidates instead of 100, since it has no more than 72 items.
    """
    home = project_folder(tmp_path_factory.mktemp("home"))
    lists = home / "sql" / "macros" / "lists.sql"
    lists.write_text(lists.read_text().replace("set reranked_candidates = 100", "set reranked_candidates = 20"))
    (home / "pipes" / "brands.sql").write_text(BRANDS)
    shop = make_shared_shop(lambda: UNTIL, home=str(home))
    client = create_app(shop).test_client()
    history = list(toyshop.history(UNTIL, days=10, shoppers=60))
    users = dict.fromkeys(event["user_id"] for event in history if "user_id" in event and event["user_id"] != "ada")
    people = [{"item_id": user, "title": user, "category": "Kitchen/Tea"} for user in ["ada", *list(users)[:12]]]
    assert client.post("/items", json=[*toyshop.items(), *people]).status_code < 300
    assert client.post("/events?wait=true", json=history).status_code == 200
    return shop


@pytest.fixture(scope="module")
def client(toys: Service) -> FlaskClient:
    return create_app(toys).test_client()


def required(pipe: str) -> Query:
    text = (ROOT / "pipes" / f"{pipe}.sql").read_text()
    return [(name, value) for name, value in REQUIRED.items() if f"-- :{name} " in text]


def ask(client: FlaskClient, pipe: str, query: Query) -> dict[str, Any]:
    got = client.get(f"/pipes/{pipe}?{urlencode(query)}")
    assert got.status_code == 200, got.text
    body: dict[str, Any] = got.get_json()
    return body


def pages(client: FlaskClient, pipe: str, query: Query) -> Iterator[list[dict[str, Any]]]:
    """The rows of each page, to the last one."""
    cursor = ""
    while cursor is not None:
        body = ask(client, pipe, [*query, *([("cursor", cursor)] if cursor else [])])
        yield body["data"]
        cursor = body["next"]


def items(rows: list[dict[str, Any]]) -> list[str]:
    return [row[item_column(list(row))] for row in rows]


def problem(client: FlaskClient, pipe: str, query: Query) -> str:
    """What is wrong with the cursor of this request."""
    got = client.get(f"/pipes/{pipe}?{urlencode(query)}")
    assert got.status_code == 400
    (detail,) = error_of(got)["details"]
    assert detail["param"] == "cursor"
    return str(detail["problem"])


@pytest.mark.parametrize("pipe", [pipe for pipe in PIPES if pipe not in WITHOUT_PAGES])
def test_the_pages_of_a_list_are_the_list(client: FlaskClient, pipe: str) -> None:
    whole = ask(client, pipe, [*required(pipe), ("limit", 100)])["data"]
    assert whole
    in_pages = list(pages(client, pipe, [*required(pipe), ("limit", 25)]))
    assert [row for page in in_pages for row in page] == whole
    assert {len(page) for page in in_pages[:-1]} <= {25}


def test_pages_of_several_keys_are_the_next_rows_of_each(client: FlaskClient) -> None:
    asked: Query = [("item_id", "green-tea"), ("item_id", "slate-coaster")]
    whole = ask(client, "also_bought", [*asked, ("limit", 100)])["data"]
    in_pages = list(pages(client, "also_bought", [*asked, ("limit", 25)]))
    for _, item in asked:
        rows = [row for page in in_pages for row in page if row["item_id"] == item]
        assert rows == [row for row in whole if row["item_id"] == item]
        assert sum(row["item_id"] == item for row in in_pages[1]) == 25


@pytest.mark.parametrize("arranged", [{"diversity": 0.7}, {"per_category": 1, "window": 3}, {"explore": 0.5}])
def test_a_list_that_is_arranged_anew_for_each_page_repeats_and_loses_nothing(
    client: FlaskClient, arranged: dict[str, float]
) -> None:
    asked: Query = [("user_id", "ada"), ("exclude_history", "nothing"), *arranged.items()]
    in_pages = list(pages(client, "for_you", [*asked, ("limit", 15)]))
    rows = list(chain(*in_pages))
    assert sorted(items(rows)) == sorted(items(ask(client, "for_you", [*asked, ("limit", 100)])["data"]))
    assert {len(page) for page in in_pages[:-1]} == {15}
    assert sum(row["source"] == "for_you" for row in rows) > 20, "those that are not re-ranked follow"


def test_pages_go_on_into_the_fallbacks(client: FlaskClient) -> None:
    in_pages = pages(client, "buy_again", [("user_id", "ada"), ("limit", 8)])
    rows = list(chain(next(in_pages), next(in_pages), next(in_pages)))
    sources = list(dict.fromkeys(row["source"] for row in rows))
    assert len(rows) == len(set(items(rows))) == 24
    assert sources[-2:] == ["for_you", "trending"], "the first page has none of trending"


def test_rows_that_other_lists_share_are_enough_for_late_pages(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a shop of thousands of items: all pages together need more rows than a caller of a fallback may ask for."""
    bounds = Parameter.bounds
    monkeypatch.setattr(Parameter, "bounds", lambda self: (1, 10) if self.name == "limit" else bounds(self))
    everything = [row for page in pages(client, "also_bought", [("item_id", "slate-coaster")]) for row in page]
    assert len(set(items(everything))) == len(everything) > 50


def test_rows_of_equal_hash_are_all_shown_on_a_still_list(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "row_hash", lambda *_: 5)
    whole = ask(client, "popular", [("limit", 100), ("fresh", 1)])["data"]
    in_pages = pages(client, "popular", [("limit", 25), ("fresh", 1)])
    assert [row for page in in_pages for row in page] == whole


def test_rows_without_an_item_are_known_by_their_first_column(client: FlaskClient) -> None:
    """The type of `limit` bounds what the service asks, its range only what a caller may."""
    in_pages = list(pages(client, "brands", []))
    brands = [row["brand"] for page in in_pages for row in page]
    assert len(in_pages[0]) == 3
    assert sorted(brands) == sorted({"", *(item["brand"] for item in toyshop.ITEMS)})


def test_the_size_of_a_page_and_what_is_excluded_may_change(client: FlaskClient) -> None:
    whole = items(ask(client, "popular", [("limit", 100)])["data"])
    cursor = ask(client, "popular", [("limit", 5)])["next"]
    second = ask(client, "popular", [("limit", 8), ("exclude", whole[6]), ("cursor", cursor)])
    assert items(second["data"]) == [whole[5], *whole[7:14]]
    third = ask(client, "popular", [("limit", 2), ("cursor", second["next"])])
    assert items(third["data"]) == [whole[6], whole[14]]


def test_a_last_page_has_no_cursor(client: FlaskClient) -> None:
    assert ask(client, "popular", [("limit", 100)])["next"] is None
    assert ask(client, "item_embedding", [("item_id", "green-tea")])["next"] is None
    number = len(ask(client, "all_items", [("limit", 100)])["data"])
    cursor = ask(client, "all_items", [("limit", number)])["next"]
    last = ask(client, "all_items", [("limit", number), ("cursor", cursor)])
    assert (last["data"], last["next"]) == ([], None), "only a full list can turn out to be the end"


def test_a_list_ends_where_its_cursor_would_be_too_long(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_ROWS", 20)
    assert list(map(len, pages(client, "popular", [("limit", 8), ("fresh", 1)]))) == [8, 8, 8]


@pytest.mark.parametrize(
    "cursor", ["x", "Käse", "AAAA", "!" * 40, "A" * 5000, "AAAAAQACAAIAAAoAAAK", "AAAAAQACAAIAAAoAAAKAA"]
)
def test_a_wrong_cursor_is_an_error(client: FlaskClient, cursor: str) -> None:
    assert problem(client, "popular", [("cursor", cursor)]).endswith(
        "is not a cursor; send `next` of the answer before, as it is"
    )


def test_a_part_of_a_cursor_is_an_error(client: FlaskClient) -> None:
    cursor = ask(client, "popular", [])["next"]
    for length in range(1, len(cursor)):
        assert "is not a cursor" in problem(client, "popular", [("cursor", cursor[:length])])


def test_a_cursor_belongs_to_a_pipe_and_its_parameters(client: FlaskClient) -> None:
    cursor = ask(client, "popular", [("days", 7)])["next"]
    for pipe, other in (("popular", []), ("popular", [("days", 7), ("brand", "Sora")]), ("trending", [])):
        assert problem(client, pipe, [*other, ("cursor", cursor)]) == (
            "belongs to another pipe or other parameters; send it with those of the first page"
            " (only limit and exclude may change), or leave it out to begin anew"
        )
    assert ask(client, "popular", [("days", 7), ("cursor", cursor)])["rows"] == 10
    defaults = ask(client, "popular", [])["next"]
    assert ask(client, "popular", [("days", 28), ("cursor", defaults)])["rows"] == 10, "a default may be given"


def test_a_cursor_is_one_text_and_an_empty_one_is_that_of_the_first_page(client: FlaskClient) -> None:
    assert problem(client, "popular", [("cursor", "a"), ("cursor", "b")]) == "given 2 times; it takes one value"
    assert ask(client, "popular", [("cursor", "")])["data"] == ask(client, "popular", [])["data"]
    got = client.post("/pipes/popular", json={"cursor": 3})
    assert "3 is not a cursor" in error_of(got)["details"][0]["problem"]
    got = client.get("/pipes/item_embedding?item_id=green-tea&cursor=AAAA")
    assert error_of(got)["details"][0]["problem"] == "not a parameter of this pipe; it takes item_id"


def test_every_format_has_a_link_to_the_next_page(client: FlaskClient) -> None:
    whole = items(ask(client, "popular", [("limit", 100)])["data"])
    read: dict[str, Callable[[Any], list[str]]] = {
        "": lambda got: items(got.get_json()["data"]),
        ".csv": lambda got: [row["item_id"] for row in csv.DictReader(io.StringIO(got.text))],
        ".ndjson": lambda got: [json.loads(line)["item_id"] for line in got.text.splitlines()],
    }
    for suffix, rows_of in read.items():
        url = f"/pipes/popular{suffix}?limit=4&exclude={whole[0]}&days=28"
        shown = []
        for _ in range(3):
            got = client.get(url)
            shown += rows_of(got)
            assert got.headers["Link"].startswith(f"<?limit=4&exclude={whole[0]}&days=28&cursor=")
            assert got.headers["Link"].endswith('>; rel="next"')
            url = urljoin(url, got.headers["Link"].split(">")[0][1:])
        assert shown == whole[1:13]
    assert client.get("/pipes/popular.parquet").headers["Link"].startswith("<?cursor=")
    assert "Link" not in client.get("/pipes/popular?limit=100").headers


def test_a_post_has_pages_and_its_link_is_that_of_a_get(client: FlaskClient) -> None:
    asked = {"user_id": ["ada"], "rotate": False, "limit": 3}
    first = client.post("/pipes/for_you", json=asked)
    second = client.post("/pipes/for_you", json={**asked, "cursor": first.get_json()["next"]})
    assert (
        items(second.get_json()["data"])
        == items(ask(client, "for_you", [("user_id", "ada"), ("limit", 6)])["data"])[3:]
    )
    link = first.headers["Link"].split(">")[0][1:]
    assert client.get(urljoin("/pipes/for_you", link)).get_json()["data"] == second.get_json()["data"]


def test_a_link_that_proxies_would_refuse_is_left_out(client: FlaskClient) -> None:
    got = client.post("/pipes/popular", json={"exclude": ["no-such-item" * 4] * 100})
    assert got.get_json()["next"]
    assert "Link" not in got.headers


def test_who_saw_the_same_first_page_shares_the_second(toys: Service) -> None:
    client = create_app(toys).test_client()
    cursor = ask(client, "popular", [("limit", 6)])["next"]
    url = f"/pipes/popular?limit=6&cursor={cursor}"
    assert client.get(f"{url}&fresh=1").headers["Cache-Status"] == "alsobought; fwd=miss"
    again = client.get(url)
    assert again.headers["Cache-Status"] == "alsobought; hit"
    assert client.get(url, headers={"If-None-Match": again.headers["ETag"]}).status_code == 304


def test_a_pinned_item_comes_once_and_at_its_position(toys: Service, client: FlaskClient) -> None:
    rules = Path(toys.settings.home) / "sql" / "rules.csv"
    before = rules.read_text()
    rules.write_text(f"{before}trending,pin,slate-coaster,,2,,\ntrending,pin,cat-bed,,12,,\n")
    try:
        in_pages = list(pages(client, "trending", [("limit", 10)]))
    finally:
        rules.write_text(before)
    shown = items(list(chain(*in_pages)))
    assert len(shown) == len(set(shown)) > 50
    assert (shown[1], shown[11]) == ("slate-coaster", "cat-bed")


MOVING = [
    ("popular", []),
    ("trending", []),
    ("for_you", [("user_id", "bruno"), ("exclude_history", "nothing")]),
    ("also_bought", [("item_id", "flour")]),
]


@pytest.mark.parametrize(("pipe", "asked"), MOVING)
def test_while_events_flow_no_item_comes_again_and_none_is_lost(client: FlaskClient, pipe: str, asked: Query) -> None:
    """Between any two pages, purchases move items that were not shown yet above those that were."""
    chance, ids = random.Random(pipe), [item["item_id"] for item in toyshop.ITEMS]
    shown, moved = list[str](), 0
    for number, page in enumerate(pages(client, pipe, [*asked, ("limit", 12)])):
        moved += bool(shown) and items(ask(client, pipe, [*asked, ("limit", 12)])["data"]) != shown[:12]
        shown += items(page)
        orders = [["flour", *chance.sample(ids, 2)] for _ in range(15)]
        lines = [
            {"event_type": "purchase", "user_id": user, "order_id": f"{pipe}-{number}-{order}", "item_id": item}
            for order, basket in enumerate(orders)
            for user in ("bruno", f"buyer-{number}-{order}")  # popularity counts people
            for item in basket
        ]
        assert client.post("/events?wait=true", json=lines).status_code == 200
    assert moved >= 2
    assert len(shown) == len(set(shown))
    buyable = {item["item_id"] for item in toyshop.ITEMS if item["available"]}
    assert buyable - set(shown) <= {value for name, value in asked if name == "item_id"}


@pytest.mark.parametrize(("number", "length"), [(1, 16), (20, 90), (200, 700), (999, 3_000)])
def test_a_cursor_is_short_and_decodes_to_what_it_was_made_of(number: int, length: int) -> None:
    chance = random.Random(number)
    hashes = [chance.getrandbits(HASH_BITS) for _ in range(number)]
    hashes[1:2] = hashes[:1] * len(hashes[1:2])
    text = encode(2**32 - 1, Shown(1, hashes))
    assert decode(text) == (2**32 - 1, Shown(1, sorted(hashes)))
    assert len(text) <= length
