"""Pipes whose requests share queries although the values of each go together: `@together`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.pipes.library import Pipe
from alsobought.pipes.parameters import values
from alsobought.service.service import Service
from alsobought.serving import queries
from alsobought.serving.answers import bound_sql, rows_of
from tests.support.web import VIEW

BASKETS = [
    ["tea"],
    ["tea", "mug"],
    ["mug", "tea"],
    ["pot", "tea", "mug"],
    ["unknown"],
    ["pot", "pot"],
    ["o'neil", "a,b"],
]
ORDERS = {
    "o1": ["tea", "mug", "pot"],
    "o2": ["tea", "mug", "cosy"],
    "o3": ["tea", "pot", "cosy", "o'neil"],
    "o4": ["mug", "spoon", "a,b", "o'neil"],
}


@pytest.fixture
def client(client: FlaskClient) -> FlaskClient:
    bought = [
        VIEW | {"event_type": "purchase", "order_id": order, "user_id": f"u{order}", "item_id": item}
        for order, items in ORDERS.items()
        for item in items
    ]
    assert client.post("/events?wait=true", json=bought).status_code == 200
    return client


@pytest.fixture
def pipe(shop: Service) -> Pipe:
    return shop.library["bought_together"]


def _parameters(pipe: Pipe, basket: list[str]) -> dict[str, Any]:
    return dict(values(pipe.parameters, {"item_id": basket, "min_baskets": ["1"]}))


@pytest.mark.usefixtures("client")
def test_a_joint_query_gives_each_basket_the_rows_it_gets_alone(shop: Service, pipe: Pipe) -> None:
    column = [name for name, _ in pipe.selected].index("item_id")

    def rows(*baskets: list[str]) -> list[list[Any]]:
        bound = _parameters(pipe, baskets[0]) | {"item_id": list(baskets)}
        found = shop.warehouse.rows(*bound_sql(pipe, bound, shop.clock())).data
        return [[round(one, 5) if isinstance(one, float) else one for one in row] for row in found]

    together = rows(*BASKETS)
    assert len({row[column] for row in together}) >= 5
    for basket in BASKETS:
        assert [row for row in together if row[column] == "\0".join(basket)] == rows(basket), basket


@pytest.mark.usefixtures("client")
def test_requests_that_wait_share_a_query(shop: Service, pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[list[str]]] = []
    run = queries.Queries(shop.warehouse, shop.clock, at_once=1)

    def counted(warehouse: Any, now: Any, pipe: Pipe, bound: Any, requested: Pipe) -> Any:
        asked.append(bound["item_id"])
        return rows_of(warehouse, now, pipe, bound, requested)

    monkeypatch.setattr(queries, "rows_of", counted)
    with ThreadPoolExecutor(len(BASKETS)) as threads:
        with run._slots.taken():  # nobody has one
            waiting = [threads.submit(run.rows, pipe, _parameters(pipe, basket), pipe) for basket in BASKETS]
            while len(run._coalescer._waiting) == 0 or sum(map(len, run._coalescer._waiting.values())) < len(BASKETS):
                pass
        answers = [future.result(30).data for future in waiting]
    assert len(asked) == 1
    assert sorted(asked[0]) == sorted(BASKETS)
    assert len(set(map(str, answers))) >= 5


def test_an_item_that_is_twice_in_a_basket_counts_once(client: FlaskClient) -> None:
    once, twice = ("&".join(["item_id=tea"] * times) for times in (1, 2))
    lists = [
        client.get(f"/pipes/bought_together?{basket}&min_baskets=1").get_json()["data"] for basket in (once, twice)
    ]
    assert lists[0] == lists[1]
    assert lists[0]


def test_the_column_of_the_basket_is_not_part_of_the_answer(client: FlaskClient, pipe: Pipe) -> None:
    got = client.get("/pipes/bought_together?item_id=tea&item_id=mug&min_baskets=1").get_json()
    names = [column["name"] for column in got["meta"]]
    assert names == [name for name, _ in pipe.columns]
    assert "item_id" not in names
    assert [row["other_item_id"] for row in got["data"]][:2] == ["pot", "cosy"]
    assert {frozenset(row) for row in got["data"]} == {frozenset(names)}
