"""Lists of a running service: merchandising rules, formulas with known values, and fair exploration."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.service.service import Service
from alsobought.web.factory import create_app
from tests.support.project import ROOT, project_folder

HEADER = (ROOT / "sql" / "rules.csv").read_text().split("\n", 1)[0] + "\n"
PARTS = ("pipes", "sql", "migrations")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, whose rules the tests change."""
    folder = tmp_path_factory.mktemp("home")
    project_folder(folder, *PARTS)
    return folder


@pytest.fixture(scope="module")
def client(make_shared_shop: Callable[..., Service], home: Path) -> FlaskClient:
    """A shop in which five items trend, tea most; it is noon of 2026-01-01."""
    client = create_app(make_shared_shop(home=str(home))).test_client()
    items = [{"item_id": item, "category": category} for item, category in CATEGORIES.items()]
    events = [
        {"event_type": "purchase", "user_id": f"u{n}", "item_id": item, "timestamp": "2026-01-01T11:00:00Z"}
        for n, item in enumerate(item for times, item in enumerate(reversed(CATEGORIES), 1) for _ in range(times))
    ]
    for path, rows in (("/items", [*items, {"item_id": "cup", "category": "Kitchen"}]), ("/events", events)):
        assert client.post(f"{path}?wait=true", json=rows).status_code == 200
    return client


CATEGORIES = {"tea": "Kitchen/Tea", "mug": "Kitchen", "pan": "Kitchen", "pen": "Office", "lamp": "Home"}


class Ruled:
    """`ruled("*,hide,tea,,,,")`: the items of a pipe with these rules, without those of `all_items`.

    `ruled.again()` keeps the rules.
    """

    def __init__(self, client: FlaskClient, path: Path) -> None:
        self._client, self._path, self._saves = client, path, 0

    def __call__(self, *rules: str, pipe: str = "trending", **parameters: object) -> list[str]:
        self._saves += 1
        self._path.write_text(HEADER + "\n".join(rules) + "\n" * self._saves)  # another size: it was saved
        return self.again(pipe, **parameters)

    def again(self, pipe: str = "trending", **parameters: object) -> list[str]:
        body = json.loads(self._client.post(f"/pipes/{pipe}", json=parameters).text)
        return [row.get("other_item_id") or row["item_id"] for row in body["data"] if row["source"] != "all_items"]


@pytest.fixture
def ruled(client: FlaskClient, home: Path) -> Iterator[Ruled]:
    path = home / "sql" / "rules.csv"
    yield Ruled(client, path)
    path.write_text(HEADER)


PLAIN = [*CATEGORIES]


@pytest.mark.thorough
def test_a_rule_only_applies_on_its_days_and_to_its_pipe(ruled: Ruled) -> None:
    kinds = ["hide,tea,,", "hide,,Kitchen,", "boost,lamp,,10", "boost,,Home,10", "pin,lamp,,1"]
    days = ["2025-12-01,2025-12-31", ",2025-12-31", "2026-01-02,", "2026-01-02,2026-02-01"]
    off = [f"*,{kind},{span}" for kind in kinds for span in days] + [f"for_you,{kind},," for kind in kinds]
    assert ruled(*off) == ruled() == PLAIN
    assert ruled(*off, "*,hide,mug,,,,2026-01-01", "trending,hide,pan,,,2026-01-01,2026-01-01") == [
        "tea",
        "pen",
        "lamp",
    ]
    assert ruled(*off, "*,hide,,Kitchen,,,", "*,boost,lamp,,10,,") == ["lamp", "pen"]


def test_a_pinned_item_has_its_position_even_if_it_is_not_a_candidate(client: FlaskClient, ruled: Ruled) -> None:
    assert ruled("*,pin,cup,,2,,") == ["tea", "cup", "mug", "pan", "pen", "lamp"]
    row = json.loads(client.get("/pipes/trending").text)["data"][1]
    assert (row["item_id"], row["category"], row["reason"]) == ("cup", "Kitchen", "picked by the shop")
    for parameters, shown in (
        ({"limit": 3}, ["tea", "cup", "mug"]),
        ({"exclude": ["cup", "mug"]}, ["tea", "pan", "pen", "lamp"]),
        ({"category": "Office"}, ["pen"]),
    ):
        assert ruled.again(**parameters) == shown
    assert ruled(
        "*,pin,cup,,40,,", "*,pin,lamp,,2,,", "*,pin,mug,,2,,", "*,pin,tea,,1,,", "*,hide,pan,,,,", limit=50
    ) in (
        ["tea", "lamp", "mug", "pen", "cup"],
        ["tea", "mug", "lamp", "pen", "cup"],
    )


def test_factors_of_several_rules_multiply(client: FlaskClient, ruled: Ruled) -> None:
    def scores() -> dict[str, float]:
        return {row["item_id"]: row["score"] for row in json.loads(client.get("/pipes/trending?limit=5").text)["data"]}

    ruled()
    plain = scores()
    ruled("*,boost,,Kitchen,2,,", "*,boost,tea,,0.25,,")
    times = {item: round(score / plain[item], 2) for item, score in scores().items()}
    assert times == {"tea": 0.5, "mug": 2, "pan": 2, "pen": 1, "lamp": 1}


@pytest.mark.thorough
def test_fallback_rows_obey_the_rules_of_the_requested_pipe(ruled: Ruled) -> None:
    rules = ["also_bought,hide,tea,,,,", "trending,hide,mug,,,,", "also_bought,pin,cup,,1,,"]
    assert ruled(*rules, pipe="also_bought", item_id="lamp") == ["cup", "mug", "pan", "pen"]


def test_a_broken_rules_file_keeps_the_last_valid_rules_and_is_reported(client: FlaskClient, ruled: Ruled) -> None:
    assert ruled("*,hide,tea,,,,") == PLAIN[1:]
    assert ruled("*,hdie,mug,,,,") == PLAIN[1:]
    stale = {pipe["name"]: pipe["stale"] for pipe in json.loads(client.get("/pipes").text)["pipes"]}
    assert (stale["trending"], stale["active_users"]) == (True, False)
    assert ruled("*,hide,mug,,,,") == ["tea", "pan", "pen", "lamp"]


# Reasons

MACRO = re.compile(r"{%- macro (\w+)\(.*?{%- endmacro -%}", re.DOTALL)


def test_all_reasons_are_in_one_file() -> None:
    """No pipe or other macro has text for users: to translate a shop, one file is enough."""
    files = [*(ROOT / "pipes").glob("*.sql"), *(ROOT / "sql" / "macros").glob("*.sql")]
    for path in files:
        body = re.sub(r"{#.*?#}|^--.*?$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        texts = [text for text in re.findall(r"'([^']*)'", body) if re.search(r"[a-z] [a-z]", text)]
        assert bool(texts) == (path.name == "reasons.sql"), f"{path.name}: {texts}"


@pytest.mark.thorough
def test_a_shop_is_translated_by_one_file(client: FlaskClient, home: Path, ruled: Ruled) -> None:
    """By the example of docs/explanation/lists.md."""
    (german,) = re.findall(
        r"<!-- German -->\n```sql\n(.*?)```", (ROOT / "docs" / "explanation" / "lists.md").read_text(), re.DOTALL
    )
    translated = {macro[1]: macro[0] for macro in MACRO.finditer(german)}
    path = home / "sql" / "macros" / "reasons.sql"
    english = path.read_text()
    ruled("*,pin,cup,,1,,")

    def reasons() -> list[str]:
        return [row["reason"] for row in json.loads(client.get("/pipes/trending?limit=6").text)["data"]]

    before = reasons()
    path.write_text(MACRO.sub(lambda macro: translated.get(macro[1], macro[0]), english))
    try:
        assert reasons()[:2] == ["von uns empfohlen", "5 Ereignisse in 24 Stunden, sonst 0"]
        assert reasons()[-1] == "1 Ereignis in 24 Stunden, sonst 0"
    finally:
        path.write_text(english)
    assert reasons() == before
    assert before[:2] == ["picked by the shop", "5 events in 24 hours, usually 0"]


# Formulas


Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def ask(client: FlaskClient, home: Path) -> Ask:
    """The rows of a pipe with this text."""

    def rows(text: str) -> list[dict[str, Any]]:
        name = f"sample_{len(list((home / 'pipes').glob('sample_*')))}"
        (home / "pipes" / f"{name}.sql").write_text(f"-- Uses macros.\n{text}")
        response = client.get(f"/pipes/{name}")
        assert response.status_code == 200, response.text
        result: list[dict[str, Any]] = json.loads(response.text)["data"]
        return result

    return rows


def test_mmr_chooses_as_in_the_paper(ask: Ask) -> None:
    """Two pairs of similar items: with λ = 0.5 the first item of each pair comes first."""
    rel, alike = (
        "[0.9, 0.85, 0.6, 0.55]",
        "[[1, 0.95, 0.1, 0.1], [0.95, 1, 0.1, 0.1], [0.1, 0.1, 1, 0.95], [0.1, 0.1, 0.95, 1]]",
    )
    (row,) = ask(
        "{% from 'ranking.sql' import mmr %}\nselect "
        f"{{{{ mmr('{rel}', '{alike}', '0.5', '4') }}}} as half,"
        f"{{{{ mmr('{rel}', '{alike}', '0', '3') }}}} as none_at_all,"
        f"{{{{ mmr('{rel}', '{alike}', '0', '4', '[1, 1, 1, 2]', '1', '2') }}}} as quota,"
        f"{{{{ mmr('{rel}', '{alike}', '0', '4', '[1, 1, 2, 2]', '1', '3') }}}} as too_strict, 1 as n\norder by n limit 1\n"
    )
    assert row["half"] == [1, 3, 2, 4]
    assert row["none_at_all"] == [1, 2, 3]
    assert row["quota"] == [1, 4, 2, 3], "the quota is exceeded if nothing else remains"
    assert row["too_strict"] == [1, 3, 2, 4]


def test_the_upper_confidence_bound_has_its_known_value(ask: Ask) -> None:
    (row,) = ask(
        "{% from 'ranking.sql' import ucb1 %}\nselect {{ ucb1('0.1', '100', '10000') }} as bound,"
        " {{ ucb1('0.1', '0', '10000') }} as never_tried, 1 as n\norder by n limit 1\n"
    )
    assert row["bound"] == pytest.approx(0.529193, abs=1e-6)
    assert row["never_tried"] > 1e6


def test_the_propensity_of_a_slot_is_the_frequency_of_its_item(ask: Ask) -> None:
    """20,000 draws of eleven candidates into four slots: shares within four standard errors, and no item twice."""
    rows = ask(
        "{% from 'ranking.sql' import explored %}\n"
        "with thrown as (select arrayJoin(range(20000)) as throw,"
        " {{ explored('11', '4', '0.3', 'throw', \"'ada'\", \"''\") }} as slots)\n"
        "select slot, tupleElement(one, 1) as candidate, tupleElement(one, 2) as propensity, count() as times,"
        " max(length(slots) - arrayUniq(arrayMap(each -> tupleElement(each, 1), slots))) as repeated\n"
        "from (select slots, arrayJoin(arrayEnumerate(slots)) as slot, slots[slot] as one from thrown)\n"
        "group by slot, candidate, propensity order by slot, candidate, propensity limit 100\n"
    )
    chances = {(row["slot"], row["candidate"]): row["propensity"] for row in rows}
    assert chances == pytest.approx(
        {(1, 1): 0.7, (1, 5): 0.15, (1, 9): 0.15, (2, 2): 0.7, (2, 6): 0.15, (2, 10): 0.15}
        | {(3, 3): 0.7, (3, 7): 0.15, (3, 11): 0.15, (4, 4): 0.7, (4, 8): 0.3}
    )
    for row in rows:
        chance = row["propensity"]
        assert abs(row["times"] / 20_000 - chance) < 4 * (chance * (1 - chance) / 20_000) ** 0.5
        assert row["repeated"] == 0


def test_exploration_is_stable_for_a_user_within_an_hour_and_depends_on_the_seed(client: FlaskClient) -> None:
    def explored(**parameters: object) -> list[tuple[str, float]]:
        request = {"limit": 2, "explore": 0.5, "user_id": "ada"} | parameters
        return [
            (row["item_id"], row["propensity"])
            for row in json.loads(client.post("/pipes/trending", json=request).text)["data"]
        ]

    seeds = [explored(seed=seed) for seed in range(12)]
    assert explored(seed=3) == seeds[3]
    assert len({tuple(slots) for slots in seeds}) > 2
    assert {chance for slots in seeds for _, chance in slots} == {0.5, 0.25}, "five items: each slot has others to try"
    assert explored(explore=0) == [("tea", 1.0), ("mug", 1.0)]
    assert [item for item, _ in explored(explore=1)] != ["tea", "mug"]


def test_hostile_values_of_a_csv_file_stay_values(ask: Ask, home: Path) -> None:
    hostile = [
        "it's",
        "\\'",
        "'), (select 1",
        "-- x",
        "/* x",
        "{x}",
        "100 %s %",
        "$tag$",
        "“x”",
        "a\\",
        "''",
        "\\0",
        "#x",
        "é😀",
    ]
    quoted = "".join('"' + value.replace('"', '""') + '"\n' for value in hostile)
    (home / "sql" / "hostile.csv").write_text("words String\n" + quoted)
    (row,) = ask(
        "{% from 'hostile.csv' import hostile %}\nselect {{ hostile('words') }} as words, 1 as n\norder by n limit 1\n"
    )
    assert row["words"] == hostile


def test_the_propensity_of_a_new_item_is_the_frequency_of_its_win(ask: Ask) -> None:
    """2,000 draws: two positions, six new items with other click rates, a quarter of the positions for them."""
    rows = ask(
        "{% from 'ranking.sql' import with_new_items %}\n"
        "with thrown as (select arrayJoin(range(2000)) as throw),"
        " [(1, 0., 0.), (2, 3., 40.), (3, 9., 50.), (4, 60., 900.), (5, 0., 25.), (6, 1., 8.)] as news\n"
        "select slot, if(one.1 = 0, 2 + one.3, one.1) as candidate, round(one.2, 9) as propensity, count() as times\n"
        "from (select {{ with_new_items('[(1, 1.), (2, 0.5)]', 'news', '0.25', 'throw', \"'ada'\", \"''\") }} as slots,"
        " arrayJoin(arrayEnumerate(slots)) as slot, slots[slot] as one from thrown)\n"
        "group by slot, candidate, propensity order by slot, candidate, propensity limit 100\n"
    )
    chances = {(row["slot"], row["candidate"]): row["propensity"] for row in rows}
    assert len(chances) == len(rows), "the propensity of an item in its slot is one number"
    assert sum(chances.values()) == pytest.approx(1.625, abs=1e-6), (
        "1 for the first slot; 0.5 * 0.75 + 0.25 for the second"
    )
    assert (chances[1, 1], chances[2, 2]) == (0.75, 0.375)
    assert {candidate for _, candidate in chances} == {*range(1, 9)}, "each item is dealt to one slot"
    for row in rows:
        chance = row["propensity"] * (
            2 if row["candidate"] == 2 else 1
        )  # of the second slot without new items, one half
        assert abs(row["times"] / 2_000 - chance) < 4 * (chance * (1 - chance) / 2_000) ** 0.5, row


def test_new_items_are_tried_and_the_one_that_is_clicked_most(client: FlaskClient, ruled: Ruled) -> None:
    items = [{"item_id": item, "published_at": "2025-12-30T10:00:00Z"} for item in ("fern", "moss")]
    shown = [
        {"event_type": kind, "user_id": f"n{n}", "item_id": item, "timestamp": "2025-12-31T11:00:00Z"}
        for item, clicks in (("fern", 20), ("moss", 0))
        for n in range(60)
        for kind in ("impression", *["click"] * (n < clicks))
    ]
    for path, rows in (("/items", items), ("/events", shown)):
        assert client.post(f"{path}?wait=true", json=rows).status_code == 200
    ruled()
    request: dict[str, Any] = {"limit": 1, "hours": 1, "explore_new": 0.5, "user_id": "ada"}
    tried: dict[str, list[float]] = {}
    for seed in range(8):
        (row,) = json.loads(client.post("/pipes/trending", json=request | {"seed": seed}).text)["data"]
        tried.setdefault(row["item_id"], []).append(row["propensity"])
        assert (row["reason"] == "new in the shop") == (row["item_id"] == "fern"), row
    assert set(tried) == {"tea", "fern"}, "moss wins a draw once in a million"
    assert [*tried["tea"], *tried["fern"]] == pytest.approx([0.5] * 8, abs=1e-6)
    assert ruled.again(limit=1, hours=1, explore_new=0, user_id="ada") == ["tea"]
    bought = [{"event_type": "purchase", "user_id": "ada", "item_id": "fern", "timestamp": "2025-12-31T11:30:00Z"}]
    assert client.post("/events?wait=true", json=bought).status_code == 200
    for part, expected in (("bought", {"tea", "moss"}), ("nothing", {"tea", "fern"})):
        assert {ruled.again(**request, seed=seed, exclude_history=part)[0] for seed in range(8)} == expected
