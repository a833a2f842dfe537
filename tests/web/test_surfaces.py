"""`GET /recommend`: one surface, several of a page, experiments, shadows, access, and the fast lane."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alsobought.access.keys import NewKey, create_key
from alsobought.access.tokens import Grant
from alsobought.errors import TooSlow
from alsobought.experimentation.votes import read_votes
from alsobought.service.service import Service
from alsobought.serving.cached_answers import CachedAnswers
from alsobought.surfaces.experiment import Experiment, Variant
from alsobought.web.factory import create_app
from alsobought.web.fast_lane import FastLane
from alsobought.writer.submission import utc_now
from tests.support.project import project_folder
from tests.support.web import buy, error_of
from tests.web.test_fast_lane import asked, head, parsed

SURFACES = """
bottom:
  pipe: also_bought
  parameters: {min_baskets: 1}
  limit: 2
top:
  pipe: popular
  limit: 3
mine:
  pipe: recently_viewed
  fallbacks: [popular]
shadowed:
  pipe: also_bought
  shadow: popular
exploring:
  pipe: also_bought_ranked
  parameters: {explore: 0.5, diversity: 0.1}
  shadow: trending
mixed:
  pipe: also_bought
  limit: 3
"""
EXPERIMENT = """
turns:
  surface: mixed
  interleave: true
  variants:
    bought: {share: 45%}
    liked: {share: 45%, pipe: popular}
ranked:
  surface: bottom
  variants:
    control: {share: 40%}
    ranked: {share: 40%, pipe: also_bought_ranked}
    nothing: {share: 20%, holdout: true}
"""
DRAWN = Experiment("ranked", "bottom", (Variant("control", 4000), Variant("ranked", 4000), Variant("nothing", 2000)))
ADMIN, ORIGIN = "a" * 40, "https://shop.example"


def user_of(variant: str) -> str:
    drawn = ((f"u{number}", DRAWN.variant_of(f"u{number}")) for number in range(100))
    return next(user for user, one in drawn if one and one.name == variant)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = project_folder(tmp_path_factory.mktemp("home"))
    (home / "sql" / "surfaces.yaml").write_text(SURFACES)
    (home / "sql" / "experiments.yaml").write_text(EXPERIMENT)
    return home


@pytest.fixture(scope="module")
def shop(home: Path, make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop(utc_now, home=str(home), access="keys", admin_key=ADMIN, token_secret="t" * 32)


@pytest.fixture(scope="module")
def app(shop: Service) -> Flask:
    app = create_app(shop)
    client = as_owner(app)
    for number, items in enumerate([("tea", "mug"), ("tea", "mug", "pot"), ("mug", "cup"), ("tea", "lamp")]):
        buy(client, f"o{number}", *items, user=f"buyer{number}")
    return app


def as_owner(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {ADMIN}"
    return client


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return as_owner(app)


def body(client: FlaskClient, url: str, **options: Any) -> dict[str, Any]:
    got = client.get(url, **options)
    assert got.status_code == 200, got.text
    answer: dict[str, Any] = json.loads(got.text)
    return answer


def items(answer: dict[str, Any]) -> list[str]:
    return [row.get("other_item_id") or row["item_id"] for row in answer["data"]]


def recorded(shop: Service, columns: str, request_id: str) -> list[list[Any]]:
    assert shop.request_log
    shop.request_log.flush()
    sql = f"select {columns} from {shop.warehouse.database}.requests where {{id:String}} in (request_id, shadow_of)"
    return shop.warehouse.trusted_rows(f"{sql} order by shadow_of", {"id": request_id}).data


def test_a_surface_answers_as_its_pipe_with_what_it_fixes(client: FlaskClient) -> None:
    got, pipe = body(client, "/recommend/bottom?item_id=tea"), body(client, "/pipes/also_bought?item_id=tea&limit=2")
    assert (got["data"], got["meta"], got["next"] is None) == (pipe["data"], pipe["meta"], pipe["next"] is None)
    assert (got["surface"], got["experiment"], got["variant"], got["pipe"]["name"]) == (
        "bottom",
        None,
        None,
        "also_bought",
    )
    assert len(items(body(client, "/recommend/bottom?item_id=tea&limit=1"))) == 1
    posted = client.post("/recommend/bottom", json={"item_id": "tea", "session_id": ""})
    assert json.loads(posted.text)["data"] == got["data"]
    csv = client.get("/recommend/bottom.csv?item_id=tea")
    assert (csv.mimetype, len(csv.text.splitlines()), len(csv.headers["Recommendation-Id"])) == ("text/csv", 3, 32)
    tag = client.get("/recommend/bottom?item_id=tea").headers["ETag"]
    assert client.get("/recommend/bottom?item_id=tea", headers={"If-None-Match": tag}).status_code == 304


def test_its_own_fallbacks_fill_it_and_the_column_source_tells(client: FlaskClient) -> None:
    got = body(client, "/recommend/mine?session_id=new-guest&limit=2")
    assert (items(got), [row["source"] for row in got["data"]]) == (
        items(body(client, "/pipes/popular?limit=2")),
        ["popular"] * 2,
    )
    assert got["pipe"]["fallback"] == "popular"


@pytest.mark.parametrize(
    ("url", "status", "problem"),
    [
        ("/recommend/botom?item_id=tea", 404, "no surface called 'botom'"),
        ("/recommend/bottom", 400, "item_id: missing; the product on the page"),
        ("/recommend/bottom?item_id=tea&min_baskets=2", 400, "min_baskets: fixed by the surface bottom; leave it out"),
        ("/recommend/bottom?item_id=tea&colour=red", 400, "colour: not a parameter of this surface; it takes item_id, limit"),
        ("/recommend/bottom?item_id=tea&limit=0", 400, "limit: '0' is not between 1 and 100"),
        ("/recommend/bottom?item_id=tea&user_id=a&user_id=b", 400, "user_id: given 2 times"),
        ("/recommend?surface=top&surface=top", 400, "surface: top is named twice"),
        ("/recommend?surface=top&cursor=x", 400, "cursor: the lists of a page have no next page"),
        ("/recommend?surface=top&surface=bottom", 400, "bottom: item_id: missing"),
        ("/recommend?surface=top&colour=red", 400, "colour: not a parameter of these surfaces"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_what_is_wrong(client: FlaskClient, url: str, status: int, problem: str) -> None:
    got = client.get(url)
    assert (got.status_code, error_of(got)["message"][: len(problem)]) == (status, problem)


def test_the_list_has_the_surfaces_with_the_parameters_of_a_request(client: FlaskClient) -> None:
    listed = {one["name"]: one for one in body(client, "/recommend")["surfaces"]}
    assert list(listed) == ["bottom", "top", "mine", "shadowed", "exploring", "mixed"]
    bottom = listed["bottom"]
    parameters = {one["name"]: one for one in bottom["parameters"]}
    assert (bottom["pipe"], bottom["fixed"], parameters["limit"]["default"]) == ("also_bought", {"min_baskets": 1}, 2)
    assert parameters["item_id"]["required"]
    assert "min_baskets" not in parameters


# Several surfaces


def test_no_item_is_twice_on_a_page_and_short_lists_are_refilled(client: FlaskClient) -> None:
    page = body(client, "/recommend?surface=bottom&surface=top&item_id=tea")["surfaces"]
    bottom, top = items(page["bottom"]), items(page["top"])
    assert (bottom, len(top)) == (items(body(client, "/recommend/bottom?item_id=tea")), 2)
    assert {*bottom, *top} == {"mug", "pot", "cup", "lamp"}, "all but the product of the page"
    ids = [one["recommendation_id"] for one in page.values()]
    assert (len({*ids}), [one["rows"] for one in page.values()]) == (2, [2, 2])
    assert [one["surface"] for one in page.values()] == ["bottom", "top"]
    first = body(client, "/recommend?surface=top,bottom&item_id=tea")["surfaces"]["top"]
    assert len(items(first)) == 3, "the first one wins"


def test_a_surface_that_fails_has_its_error_in_its_place(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = CachedAnswers.answer

    def failing(answers: CachedAnswers, name: str, *given: Any, **options: Any) -> Any:
        if name == "also_bought":
            raise TooSlow("a text of the database")
        return answer(answers, name, *given, **options)

    monkeypatch.setattr(CachedAnswers, "answer", failing)
    page = body(client, "/recommend?surface=bottom&surface=top&item_id=tea")["surfaces"]
    assert (list(page), len(items(page["top"]))) == (["bottom", "top"], 3)
    assert (list(page["bottom"]), page["bottom"]["error"]["code"]) == (["error"], "too_slow")
    assert page["bottom"]["error"]["message"] == "the query exceeded a limit"
    alone = client.get("/recommend?surface=bottom&item_id=tea")
    assert (alone.status_code, error_of(alone)["code"]) == (504, "too_slow"), "nothing could be answered"
    assert client.get("/recommend?surface=bottom&surface=top&item_id=tea&limit=x").status_code == 400


def test_a_variant_of_an_item_is_that_item(app: Flask, client: FlaskClient) -> None:
    variants = [{"item_id": item, "group_id": "mugs"} for item in ("mug", "cup")]
    assert client.post("/items?wait=true", json=variants).status_code == 200
    page = body(client, "/recommend?surface=bottom&surface=top&item_id=tea&fresh=true")["surfaces"]
    cleared = [{"item_id": item, "group_id": None} for item in ("mug", "cup")]
    assert client.post("/items?wait=true", json=cleared).status_code == 200
    assert len([item for one in page.values() for item in items(one) if item in ("mug", "cup")]) == 1


# Experiments


def test_a_unit_gets_its_variant_and_the_request_is_recorded_with_it(client: FlaskClient, shop: Service) -> None:
    for variant, pipe in (("control", "also_bought"), ("ranked", "also_bought_ranked")):
        user = user_of(variant)
        got = body(client, f"/recommend/bottom?item_id=tea&user_id={user}")
        assert (got["experiment"], got["variant"], got["pipe"]["name"], got["rows"]) == ("ranked", variant, pipe, 2)
        columns = "surface, experiment, variant, unit, pipe, recommendation_id"
        expected = ["bottom", "ranked", variant, user, pipe, got["recommendation_id"]]
        assert recorded(shop, columns, got["request_id"]) == [expected]
    guest = body(client, f"/recommend/bottom?item_id=tea&session_id={user_of('ranked')}")
    assert guest["variant"] == "ranked"
    assert body(client, "/recommend/bottom?item_id=tea&user_id=undefined")["variant"] is None


def test_a_holdout_is_empty_and_still_checks_the_request(client: FlaskClient) -> None:
    user = user_of("nothing")
    url = f"/recommend/bottom?item_id=tea&user_id={user}"
    got = body(client, url)
    assert (got["data"], got["rows"], got["variant"]) == ([], 0, "nothing")
    assert len(got["recommendation_id"]) == 32
    assert client.get(f"{url}&limit=0").status_code == 400
    page = body(client, f"/recommend?surface=bottom&surface=top&item_id=tea&user_id={user}")["surfaces"]
    assert (page["bottom"]["data"], len(page["top"]["data"])) == ([], 3)


def test_a_stopped_variant_is_shown_to_nobody_and_counts_nobody(client: FlaskClient, shop: Service) -> None:
    shop.surfaces.stopped = lambda experiment, variant: (experiment, variant) == ("ranked", "ranked")
    try:
        got = body(client, f"/recommend/bottom?item_id=tea&user_id={user_of('ranked')}")
        other = body(client, f"/recommend/bottom?item_id=tea&user_id={user_of('control')}")
    finally:
        shop.surfaces.stopped = lambda *_: False
    assert (got["experiment"], got["variant"], got["pipe"]["name"]) == (None, None, "also_bought")
    assert other["variant"] == "control"


def test_a_shadow_is_recorded_beside_a_computed_answer_and_never_shown(client: FlaskClient, shop: Service) -> None:
    url = "/recommend/shadowed?item_id=mug&limit=2"
    computed, cached = body(client, url), body(client, url)
    shop.shadows.wait()
    columns = "pipe, surface, shadow_of, recommendation_id, length(item_ids)"
    shown = ["also_bought", "shadowed", "", computed["recommendation_id"], 2]
    assert recorded(shop, columns, computed["request_id"]) == [
        shown,
        ["popular", "shadowed", computed["request_id"], "", 2],
    ]
    assert len(recorded(shop, columns, cached["request_id"])) == 1


def test_a_shadow_does_not_explore(client: FlaskClient, shop: Service) -> None:
    shown = body(client, "/recommend/exploring?item_id=mug&limit=1")
    shop.shadows.wait()
    assert [json.loads(text) for (text,) in recorded(shop, "parameters", shown["request_id"])] == [
        {"item_id": ["mug"], "limit": ["1"], "explore": [0.5], "diversity": [0.1]},
        {"limit": ["1"], "diversity": [0.1]},
    ]


# Interleaved lists

VARIANTS = (Variant("bought", 4500), Variant("liked", 4500, "popular"))
TURNS = Experiment("turns", "mixed", VARIANTS, metric="clicks", interleave=True)
IN_TURNS = [user for user in (f"t{number}" for number in range(40)) if TURNS.variant_of(user)]


def test_two_pipes_fill_a_list_in_turns_and_a_click_is_a_vote_for_one(client: FlaskClient, shop: Service) -> None:
    url = f"/recommend/mixed?item_id=tea&user_id={IN_TURNS[0]}"
    got, again, longer = body(client, url), body(client, url), body(client, f"{url}&limit=5")
    assert (got["experiment"], got["variant"], got["next"], got["rows"]) == ("turns", "interleaved", None, 3)
    assert len(items(got)) == len({*items(got)}) == 3
    assert (items(again), items(longer)[:3]) == (items(got), items(got)), "a repeated view shows the same"
    assert [column["name"] for column in got["meta"]] == [
        column["name"] for column in body(client, "/pipes/also_bought?item_id=tea")["meta"]
    ]
    assert "bought/" not in json.dumps(got), "pages do not learn the teams"
    ((sources, unit),) = recorded(shop, "sources, unit", got["request_id"])
    assert ({source.split("/")[0] for source in sources}, unit) == ({"bought", "liked"}, IN_TURNS[0])
    assert {*sources} <= {"bought/also_bought", "liked/popular"}
    liked = next(item for item, source in zip(items(got), sources, strict=True) if source == "liked/popular")
    about = {"user_id": IN_TURNS[0], "recommendation_id": got["recommendation_id"]}
    seen = [about | {"event_type": "impression", "item_id": item} for item in items(got)]
    sent = client.post("/events?wait=true", json=[*seen, about | {"event_type": "click", "item_id": liked}])
    assert sent.status_code == 200
    shop.recommendations.flush()
    votes = read_votes(shop.warehouse, shop.settings.home_folder, TURNS, utc_now(), 7).newest
    assert (votes.lists, votes.voted, votes.won, votes.units, votes.yy) == (1, 1, (0, 1), 1, 1)
    why = json.loads(client.get(f"/workbench/why/{got['request_id']}").text)["why"]
    assert [f"{item['team']}/{item['source']}" for item in why["items"]] == sources


def test_who_picks_first_differs_between_users_and_products(client: FlaskClient) -> None:
    by_user = {tuple(items(body(client, f"/recommend/mixed?item_id=tea&user_id={user}"))) for user in IN_TURNS[:12]}
    assert len(by_user) > 1


def test_where_one_variant_fails_the_list_of_the_other_is_shown_without_teams(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = CachedAnswers.answer

    def failing(answers: CachedAnswers, name: str, *given: Any, **options: Any) -> Any:
        if name == "also_bought":
            raise TooSlow("the query exceeded a limit")
        return answer(answers, name, *given, **options)

    monkeypatch.setattr(CachedAnswers, "answer", failing)
    got = body(client, f"/recommend/mixed?item_id=tea&user_id={IN_TURNS[0]}")
    assert (got["variant"], got["pipe"]["name"], got["rows"]) == ("interleaved", "popular", 3)
    assert recorded(shop, "pipe, sources", got["request_id"]) == [["popular", ["popular"] * 3]]


def test_a_page_drafts_from_what_it_does_not_show_yet(client: FlaskClient) -> None:
    page = body(client, f"/recommend?surface=top&surface=mixed&item_id=tea&user_id={IN_TURNS[0]}")["surfaces"]
    shown = [items(page[name]) for name in ("top", "mixed")]
    assert len({*shown[0], *shown[1], "tea"}) == len(shown[0]) + len(shown[1]) + 1
    assert page["mixed"]["variant"] == "interleaved"


# Access


def test_a_key_or_token_needs_every_pipe_that_the_surface_may_draw(app: Flask, shop: Service) -> None:
    def get(credential: str, url: str, **headers: str) -> int:
        return app.test_client().get(url, headers={"Authorization": f"Bearer {credential}", **headers}).status_code

    def key(*scopes: str, **fields: Any) -> str:
        text, _ = create_key(shop.warehouse, NewKey(name="k", scopes=scopes, **fields).checked(), utc_now())
        app.extensions["gate"].refresh()
        return text

    assert app.test_client().get("/recommend/top").status_code == 401
    narrow = key("pipes:read:also_bought", "pipes:read:popular")
    assert [get(narrow, url) for url in ("/recommend/top", "/recommend/bottom?item_id=tea")] == [200, 403]
    browser = key("pipes:read", browser=True, origins=(ORIGIN,))
    listed = app.test_client().get("/recommend", headers={"Authorization": f"Bearer {browser}", "Origin": ORIGIN})
    assert [one["name"] for one in json.loads(listed.text)["surfaces"]] == [
        "bottom",
        "top",
        "shadowed",
        "exploring",
        "mixed",
    ]
    urls = (
        "/recommend/bottom?item_id=tea",
        "/recommend/bottom?item_id=tea&user_id=ada",
        "/recommend/mine?session_id=s",
    )
    assert [get(browser, url, Origin=ORIGIN) for url in urls] == [200, 403, 403]
    guest = f"/recommend/bottom?item_id=tea&session_id={user_of('ranked')}"
    drawn = app.test_client().get(guest, headers={"Authorization": f"Bearer {browser}", "Origin": ORIGIN})
    assert json.loads(drawn.text)["variant"] == "ranked"
    token, _ = app.extensions["gate"].signer.sign(Grant(params={"user_id": user_of("ranked")}), "")
    mine = app.test_client().get("/recommend/bottom?item_id=tea", headers={"Authorization": f"Bearer {token}"})
    assert json.loads(mine.text)["variant"] == "ranked", "the token names the unit"
    assert [
        get(token, url) for url in ("/recommend/mine", "/recommend/mine?user_id=eve", "/recommend/top?user_id=eve")
    ] == [
        200,
        403,
        403,
    ]


# The fast lane


@pytest.fixture
def lane(app: Flask) -> FastLane:
    made: FastLane = app.extensions["fast_lane"]
    return made


def test_a_cached_answer_is_repeated_while_it_is_drawn_again(
    app: Flask, client: FlaskClient, lane: FastLane, shop: Service, home: Path
) -> None:
    url, key = (
        f"/recommend/bottom?item_id=tea&limit=1&user_id={user_of('control')}",
        {"Authorization": f"Bearer {ADMIN}"},
    )
    assert lane.respond(head(url, **key)) is None
    by_flask = asked(client, url, **key)
    repeated = parsed(lane.respond(head(url, **key)))
    for answer in (by_flask, repeated):
        for name in ("request_id", "recommendation_id"):
            assert answer["body"].pop(name)  # type: ignore[attr-defined]
        for name in (
            "X-Request-Id",
            "Recommendation-Id",
            "Content-Length",
            "Date",
            "Server",
            "Connection",
            "Cache-Status",
            "Vary",  # twice
        ):
            answer["headers"].pop(name, None)  # type: ignore[attr-defined]
    assert repeated == by_flask
    again = parsed(lane.respond(head(url, **key)))["body"]
    unit = recorded(shop, "experiment, variant, unit, kept", again["request_id"])  # type: ignore[index]
    assert unit == [["ranked", "control", user_of("control"), True]]
    file = home / "sql" / "experiments.yaml"
    file.write_text(EXPERIMENT + "  until: 2026-01-01\n")
    assert lane.respond(head(url, **key)) is None, "the file was saved"
    assert asked(client, url, **key)["body"]["variant"] is None  # type: ignore[index]
    file.write_text(EXPERIMENT)
    assert asked(client, url, **key)["body"]["variant"] == "control"  # type: ignore[index]
    shop.surfaces.stopped = lambda *_: True
    assert lane.respond(head(url, **key)) is None, "the variant is stopped"
    shop.surfaces.stopped = lambda *_: False
    assert lane.respond(head(url, **key))
